int @name@_logits(const @name@_state *s, @name@_logit *logits)
{
@logits@
}
