/* What the engine "c" calls: one network, and where the tensors that are recorded go. */
#include "network.c"

struct bench {
    network_state state;
    uint8_t *to[NETWORK_TENSORS];
};

#ifdef NETWORK_WATCH
static size_t size_of(char letter)
{
    return letter == 'b' || letter == 'B' ? 1 : letter == 'h' || letter == 'H' ? 2 : letter == 'i' ? 4 : 8;
}

void network_show(const network_state *s, int tensor, const void *values, size_t count, char letter)
{
    struct bench *b = (struct bench *)s;
    if (b->to[tensor] != NULL) {
        memcpy(b->to[tensor], values, count * size_of(letter));
        b->to[tensor] += count * size_of(letter);
    }
}
#endif

size_t bench_bytes(void)
{
    return sizeof(struct bench);
}

void bench_reset(struct bench *b)
{
    network_reset(&b->state);
}

static void watch(struct bench *b, uint8_t **to)
{
    if (to != NULL) {
        memcpy(b->to, to, sizeof b->to);
    } else {
        memset(b->to, 0, sizeof b->to);
    }
}

int bench_run(struct bench *b, const network_input *x, size_t steps, uint8_t **to)
{
    watch(b, to);
    return network_run(&b->state, x, steps);
}

/* Take steps one by one and write the logits of each; return how many were clipped, -1 where a step was refused. */
int bench_stream(struct bench *b, const network_input *x, size_t steps, uint8_t **to, int64_t *logits)
{
    int count = 0;
    watch(b, to);
    for (size_t t = 0; t < steps; ++t) {
        network_logit own[NETWORK_CLASSES];
        if (network_run(&b->state, x + t * NETWORK_CHANNELS, 1) != NETWORK_OK) {
            return -1;
        }
        count += network_logits(&b->state, own);
        for (size_t k = 0; k < NETWORK_CLASSES; ++k) {
            *logits++ = own[k];
        }
    }
    return count;
}

int bench_read(const struct bench *b, int64_t *logits, int64_t *sum, uint64_t *clipped)
{
    network_logit own[NETWORK_CLASSES];
    const int count = network_logits(&b->state, own);
    for (size_t k = 0; k < NETWORK_CLASSES; ++k) {
        logits[k] = own[k];
    }
    for (size_t i = 0; i < sizeof b->state.sum / sizeof b->state.sum[0]; ++i) {
        sum[i] = b->state.sum[i];
    }
#if BENCH_TALLIES
    memcpy(clipped, b->state.clipped, sizeof b->state.clipped);
#else
    (void)clipped;
#endif
    return count;
}
