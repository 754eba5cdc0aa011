/* Advance by no more than CHUNK steps, which were checked. */
static void advance(@name@_state *s, const @name@_input *x, size_t steps)
{
@calls@
    s->steps += (@steps@)steps;
}

/* How many of these steps can be taken, and why no more. */
static size_t allowed(const @name@_state *s, const @name@_input *x, size_t steps, int *status)
{
    (void)x;
    *status = @NAME@_OK;
    if (@NAME@_MAX_STEPS - s->steps < steps) {
        steps = (size_t)(@NAME@_MAX_STEPS - s->steps);
        *status = @NAME@_TOO_LONG;
    }
@check@    return steps;
}

void @name@_reset(@name@_state *s)
{
    memset(s, 0, sizeof *s);
}

int @name@_step(@name@_state *s, const @name@_input *x)
{
    return @name@_run(s, x, 1);
}

int @name@_run(@name@_state *s, const @name@_input *x, size_t steps)
{
    int status;
    steps = allowed(s, x, steps, &status);
    for (size_t t = 0; t < steps; t += CHUNK) {
        advance(s, x + t * @NAME@_CHANNELS, steps - t < CHUNK ? steps - t : CHUNK);
    }
    return status;
}
