void @name@_reset(@name@_state *s)
{
    memset(s, 0, sizeof *s);
}

int @name@_step(@name@_state *s, const @name@_input *x)
{
    if (s->steps >= @NAME@_MAX_STEPS) {
        return @NAME@_TOO_LONG;
    }
@check@@calls@
    ++s->steps;
    return @NAME@_OK;
}

int @name@_run(@name@_state *s, const @name@_input *x, size_t steps)
{
    for (size_t t = 0; t < steps; ++t) {
        const int status = @name@_step(s, x + t * @NAME@_CHANNELS);
        if (status != @NAME@_OK) {
            return status;
        }
    }
    return @NAME@_OK;
}
