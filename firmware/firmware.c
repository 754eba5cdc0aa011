/*
 * Runs an emitted network on a bare processor: no library, no operating system. Every sample of
 * samples.h goes through step by step; logits and the sum over every tensor are compared with what
 * the reference made of them. Prints one line of JSON over semihosting.
 *
 * To port it: a counter of instructions or cycles, and a way to print (port.h).
 */
#include <string.h>

#include "network.h"
#include "port.h"
#include "samples.h"

#define PAINT 0xA5u

static network_state state;

#ifdef NETWORK_WATCH
static uint64_t sums[NETWORK_TENSORS], counts[NETWORK_TENSORS];

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

void network_show(const network_state *s, int tensor, const void *values, size_t count, char letter)
{
    (void)s;
    for (size_t i = 0; i < count; ++i) {
        const uint64_t factor = 2 * counts[tensor]++ * UINT64_C(0x9e3779b97f4a7c15) + 1;
        sums[tensor] += integer(values, i, letter) * factor;
    }
}
#endif

static void print_number(uint64_t value)
{
    char digits[24];
    size_t at = sizeof digits - 1;
    digits[at] = 0;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    print(digits + at);
}

static void item(const char *name, uint64_t value)
{
    print(name);
    print_number(value);
}

/* Everything between the end of the variables and the frame of this function is free: paint it. What is no longer
   painted afterwards, main's own frame included, is the stack that was used. */
static __attribute__((noinline)) uint8_t *paint(void)
{
    uint8_t *const top = (uint8_t *)__builtin_frame_address(0) - 64;
    for (volatile uint8_t *at = stack_limit; at < top; ++at) {
        *at = PAINT;
    }
    return top;
}

static size_t untouched(const uint8_t *top)
{
    const uint8_t *at = stack_limit;
    while (at < top && *at == PAINT) {
        ++at;
    }
    return (size_t)(stack_top - at);
}

int main(void)
{
    const network_input *x = samples;
    uint64_t wrong = 0, refused = 0, steps = 0, instructions = 0;
    uint8_t *const top = paint();
    for (size_t i = 0; i < SAMPLES; ++i) {
        network_logit logits[NETWORK_CLASSES];
        network_reset(&state);
        for (size_t t = 0; t < STEPS; ++t) {
            const uint32_t begun = counter();
            refused += network_step(&state, x) != NETWORK_OK;
            instructions += passed(begun, counter());
            x += NETWORK_CHANNELS;
            ++steps;
        }
        (void)network_logits(&state, logits);
        for (size_t k = 0; k < NETWORK_CLASSES; ++k) {
            wrong += logits[k] != expected[i * NETWORK_CLASSES + k];
        }
    }
    const size_t stack = untouched(top);
    uint64_t tensors = 0;
#ifdef NETWORK_WATCH
    for (size_t i = 0; i < NETWORK_TENSORS; ++i) {
        tensors += sums[i] == expected_sums[i];
    }
#endif
    item("{\"samples\": ", SAMPLES);
    item(", \"steps\": ", steps);
    item(", \"logits\": ", (uint64_t)SAMPLES * NETWORK_CLASSES);
    item(", \"wrong\": ", wrong);
    item(", \"refused\": ", refused);
    item(", \"tensors_equal\": ", tensors);
    item(", \"tensors\": ", NETWORK_TENSORS);
    item(", \"instructions_per_step\": ", instructions / steps);
    item(", \"stack_bytes\": ", stack);
    print("}\n");
    leave(wrong != 0 || refused != 0);
    return 0;
}
