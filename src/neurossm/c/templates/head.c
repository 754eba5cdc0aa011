#include "@name@.h"

#include <string.h>

#include "@name@_parameters.h"

/* What is relied on beyond C99: shifts to the right keep the sign, and the state has no holes. */
typedef char @name@_shift_keeps_the_sign[(-1 >> 1) == -1 ? 1 : -1];
typedef char @name@_state_has_no_holes[sizeof(@name@_state) == @NAME@_STATE_BYTES ? 1 : -1];

#ifdef @NAME@_WATCH
#define SHOW(tensor, values, count, letter) @name@_show(s, tensor, values, count, letter)
#else
#define SHOW(tensor, values, count, letter) ((void)0)
#endif

static int64_t floor_divided(int64_t a, int64_t b)
{
    const int64_t quotient = a / b;
    return a % b < 0 ? quotient - 1 : quotient;
}
