@about@
#ifndef @NAME@_H
#define @NAME@_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    @NAME@_CHANNELS = @channels@, /* integers of a step's input */
    @NAME@_CLASSES = @classes@,
    @NAME@_LOGIT_EXPONENT = @exponent@, /* a logit stands for itself times 2^-@exponent@ */
    @NAME@_TENSORS = @tensors@, /* shown to whoever watches */
    @NAME@_TALLIES = @tallies@ /* counters of clipped integers */
};
#define @NAME@_MAX_STEPS UINT64_C(@max_steps@) /* of one sample: what the sums are proved for */
#define @NAME@_STATE_BYTES @state_bytes@
#define @NAME@_PARAMETER_BYTES @parameter_bytes@u
@chunk@
/* What `step` and `run` return. */
enum {
    @NAME@_OK = 0,
    @NAME@_OUT_OF_RANGE = 1, /* the input is beyond what the program declares: nothing was done */
    @NAME@_TOO_LONG = 2 /* the sample has its greatest number of steps: nothing was done */
};

#define @NAME@_INPUT_LETTER '@letter@' /* the type of an input, as below */

typedef @input@ @name@_input;
typedef @logit@ @name@_logit;

/* One network in the middle of its input: as many as you like, none knows of another. */
typedef struct {
@members@
} @name@_state;

/* Begin a sample: all states, sums and counters are 0. */
void @name@_reset(@name@_state *s);

/* Advance by one step of @NAME@_CHANNELS integers. */
int @name@_step(@name@_state *s, const @name@_input *x);

/* Advance by many steps; stops at the first that `step` refuses, and returns its status. */
int @name@_run(@name@_state *s, const @name@_input *x, size_t steps);

/*
 * Write the @NAME@_CLASSES logits if the sample ended now; the largest, the first of equal ones,
 * is the prediction. Returns how many were clipped, or -1 before the first step.
 */
int @name@_logits(const @name@_state *s, @name@_logit *logits);

#ifdef @NAME@_WATCH
/*
 * To be defined by whoever compiles with @NAME@_WATCH: called at each step for every tensor and
 * state, numbered as above, in one piece or several. `letter` tells the type: b, h, i, q for signed integers of 8, 16, 32,
 * 64 bits, B, H for unsigned ones.
 */
void @name@_show(const @name@_state *s, int tensor, const void *values, size_t count, char letter);
#endif

#ifdef __cplusplus
}
#endif

#endif
