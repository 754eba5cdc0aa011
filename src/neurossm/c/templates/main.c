/*
 * Reads samples from a file, prints their logits, and compares what the file says of them.
 * All numbers in the file are little-endian:
 *
 *   bytes            content
 *   8                "NEUROSSM"
 *   4                1, the version
 *   4                the letter of the input's type: B, H for unsigned integers of 8, 16 bits,
 *                    b, h, i, q for signed ones of 8, 16, 32, 64
 *   4, 4, 4          samples, channels, classes
 *   4                1 if logits follow, plus 2 if sums over tensors follow
 *   4 each           steps of every sample
 *                    the samples one after the other, (steps, channels)
 *   8 each           logits, (samples, classes), signed
 *   8 each           sums over tensors, in the order of @name@.h, unsigned
 *
 * The sum over a tensor adds, modulo 2^64, each integer of each step of each sample, counted from
 * i = 0, times 2 i 0x9e3779b97f4a7c15 + 1: it changes if a single integer does.
 */
#include "@name@.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* Conversion to a signed type wraps. */
typedef char @name@_conversion_wraps[(int64_t)UINT64_MAX == -1 ? 1 : -1];

static @name@_state state;

static int fail(const char *why)
{
    fprintf(stderr, "@name@: %s\n", why);
    return 2;
}

/* Read so many bytes as one number; end of file sets `*ended`. */
static uint64_t number(FILE *file, unsigned bytes, int *ended)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; ++i) {
        const int byte = getc(file);
        if (byte == EOF) {
            *ended = 1;
            return 0;
        }
        value |= (uint64_t)byte << (8 * i);
    }
    return value;
}

#ifdef @NAME@_WATCH
static const char *const tensor_names[@NAME@_TENSORS] = {
@names@
};
static uint64_t sums[@NAME@_TENSORS], counts[@NAME@_TENSORS];

static uint64_t integer(const void *values, size_t i, char letter)
{
    switch (letter) {
    case 'b': return (uint64_t)((const int8_t *)values)[i];
    case 'B': return ((const uint8_t *)values)[i];
    case 'h': return (uint64_t)((const int16_t *)values)[i];
    case 'H': return ((const uint16_t *)values)[i];
    case 'i': return (uint64_t)((const int32_t *)values)[i];
    default: return (uint64_t)((const int64_t *)values)[i];
    }
}

void @name@_show(const @name@_state *s, int tensor, const void *values, size_t count, char letter)
{
    (void)s;
    for (size_t i = 0; i < count; ++i) {
        const uint64_t factor = 2 * counts[tensor]++ * UINT64_C(0x9e3779b97f4a7c15) + 1;
        sums[tensor] += integer(values, i, letter) * factor;
    }
}
#endif

/* Run one sample; the status is not @NAME@_OK where a step was refused. */
static int sample(FILE *file, uint64_t steps, int *ended)
{
    @name@_input x[@NAME@_CHANNELS];
    @name@_reset(&state);
    for (uint64_t t = 0; t < steps && !*ended; ++t) {
        for (int c = 0; c < @NAME@_CHANNELS; ++c) {
            x[c] = (@name@_input)number(file, sizeof x[c], ended);
        }
        const int status = @name@_step(&state, x);
        if (status != @NAME@_OK) {
            return status;
        }
    }
    return @NAME@_OK;
}

static void print(uint64_t i, const @name@_logit *logits)
{
    int best = 0;
    for (int k = 1; k < @NAME@_CLASSES; ++k) {
        best = logits[k] > logits[best] ? k : best;
    }
    printf("sample %" PRIu64 ": class %d, logits", i, best);
    for (int k = 0; k < @NAME@_CLASSES; ++k) {
        printf(" %" PRId64, (int64_t)logits[k]);
    }
    printf("\n");
}

/* Where the header, the lengths, the samples and the logits begin. */
static FILE *opened(const char *path, long offset)
{
    FILE *file = fopen(path, "rb");
    if (file != NULL && fseek(file, offset, SEEK_SET) != 0) {
        fclose(file);
        return NULL;
    }
    return file;
}

static int compare(FILE *file, const uint64_t *total, int wrong, int *ended)
{
    printf("logits: %" PRIu64 " compared, %d samples differ\n", total[0], wrong);
#ifdef @NAME@_WATCH
    if (total[1]) {
        for (int i = 0; i < @NAME@_TENSORS; ++i) {
            if (number(file, 8, ended) != sums[i]) {
                printf("%s: differs\n", tensor_names[i]);
                return 1;
            }
        }
        printf("tensors: all %d equal\n", @NAME@_TENSORS);
    }
#else
    (void)file;
    (void)ended;
#endif
    return wrong != 0;
}

int main(int argc, char **argv)
{
    char magic[8];
    int ended = 0, wrong = 0;
    if (argc != 2) {
        return fail("give one file of data");
    }
    FILE *lengths = opened(argv[1], 0);
    if (lengths == NULL || fread(magic, 1, 8, lengths) != 8 || memcmp(magic, "NEUROSSM", 8) != 0) {
        return fail("cannot read the data: no such file, or not begun by NEUROSSM");
    }
    const uint64_t version = number(lengths, 4, &ended), letter = number(lengths, 4, &ended);
    const uint64_t samples = number(lengths, 4, &ended), channels = number(lengths, 4, &ended);
    const uint64_t classes = number(lengths, 4, &ended), flags = number(lengths, 4, &ended);
    if (version != 1 || letter != @NAME@_INPUT_LETTER || channels != @NAME@_CHANNELS
        || classes != @NAME@_CLASSES || flags > 3) {
        return fail("the data are of another version, or of another network");
    }
    uint64_t steps = 0;
    for (uint64_t i = 0; i < samples && !ended; ++i) {
        steps += number(lengths, 4, &ended);
    }
    if (ended || samples > LONG_MAX / 8
        || steps > LONG_MAX / 2 / @NAME@_CHANNELS / sizeof(@name@_input)) {
        return fail("the data end too early");
    }
    const long first = 32 + 4 * (long)samples;
    const long values = (long)steps * @NAME@_CHANNELS * (long)sizeof(@name@_input);
    FILE *inputs = opened(argv[1], first), *expected = opened(argv[1], first + values);
    if (fseek(lengths, 32, SEEK_SET) != 0 || inputs == NULL || expected == NULL) {
        return fail("cannot read the data");
    }
    for (uint64_t i = 0; i < samples; ++i) {
        @name@_logit logits[@NAME@_CLASSES];
        const int status = sample(inputs, number(lengths, 4, &ended), &ended);
        if (ended || status != @NAME@_OK) {
            return fail(status == @NAME@_TOO_LONG ? "a sample has too many steps"
                        : status ? "an input is out of range" : "the data end too early");
        }
        if (@name@_logits(&state, logits) < 0) {
            return fail("a sample has no steps");
        }
        print(i, logits);
        int same = 1;
        for (int k = 0; k < @NAME@_CLASSES && (flags & 1); ++k) {
            same &= number(expected, 8, &ended) == (uint64_t)(int64_t)logits[k];
        }
        wrong += !same;
    }
    const uint64_t total[2] = {(flags & 1) ? samples * classes : 0, flags & 2};
    const int differs = compare(expected, total, wrong, &ended);
    return ended ? fail("the data end too early") : differs;
}
