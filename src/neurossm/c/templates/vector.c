#if defined(__FAST_MATH__) || (defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0)
#error "sums must be rounded to double as they are written: no -ffast-math; on x86 -mfpmath=sse"
#endif

typedef double lanes __attribute__((vector_size(64)));
typedef uint64_t lane_bits __attribute__((vector_size(64)));
typedef int64_t lane_integers __attribute__((vector_size(64)));

/* 2^k */
#define POWER(k) ((lanes)(lane_bits)(((k) + 1023) << 52))

/* States of modes lie in vectors of eight channels. */
#ifdef @NAME@_WATCH
#define SHOW_MODES(tensor, values, channels, modes, padded, letter) \
    for (size_t c = 0; c < channels; ++c) { \
        for (size_t n = 0; n < modes; ++n) { \
            SHOW(tensor, values + (c / 8 * padded + n) * 8 + c % 8, 1, letter); \
        } \
    }
#else
#define SHOW_MODES(tensor, values, channels, modes, padded, letter) ((void)0)
#endif

