"""An equation in floats that hold integers: sums of products, rounded where the equation rounds.

`rshift(p, k) + c` is `floor(p 2**-k + (c + 1/2))`: scales and offsets go into the parameters, so
that a rounding shift costs a product, a sum and a floor. Every value is a *form*: variables times
coefficients plus a constant, perhaps under a floor. Coefficients are parameters; they are exact, as
`Dyadic` numbers, and so is every form as long as its terms stay below 2**53 of its smallest unit:
`derive.floats` checks that for an operation's own parameters and bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from neurossm.derive.dyadic import Dyadic, exact
from neurossm.program.code import Code, Instruction
from neurossm.program.operation import Op


class NotLinearError(Exception):
    """An equation that has no such form; its kernel works on integers."""


@dataclass(frozen=True, eq=False)
class Coefficient:
    """A parameter of a kernel: one number, one per channel, or one per entry of a table.

    `index` is the variable that picks the entry; `unit` the value where it is 0, 1 or -1 for every
    operation; `whole` tells that it is an integer for every operation.
    """

    axis: str
    of: Callable[[Op], Dyadic]
    whole: bool = False
    index: int | None = None
    unit: int | None = None

    def times(self, other: Coefficient) -> Coefficient:
        """Return the product."""
        if self.unit == 1:
            return other
        if other.unit == 1:
            return self
        return self._with(other, lambda a, b: a * b)

    def plus(self, other: Coefficient) -> Coefficient:
        """Return the sum."""
        if self.unit == 0:
            return other
        if other.unit == 0:
            return self
        return self._with(other, lambda a, b: a + b)

    def negative(self) -> Coefficient:
        """Return it with the other sign."""
        unit = None if self.unit is None else -self.unit
        return replace(self, of=lambda op: -self.of(op), unit=unit)

    def scaled(self, k: Coefficient) -> Coefficient:
        """Return it times `2**-k`."""
        return replace(
            self._with(k, lambda a, b: a.scaled(b.mantissa)), whole=False, index=self.index
        )

    def _with(self, other: Coefficient, combine: Callable[[Dyadic, Dyadic], Dyadic]) -> Coefficient:
        axes = {self.axis, other.axis} - {"shared"}
        if len(axes) > 1 or (self.index is not None and other.index not in (None, self.index)):
            raise NotLinearError
        return Coefficient(
            axis=axes.pop() if axes else "shared",
            of=lambda op: combine(self.of(op), other.of(op)),
            whole=self.whole and other.whole,
            index=other.index if self.index is None else self.index,
        )


def constant(value: int) -> Coefficient:
    """Return a number."""
    unit = value if value in (-1, 0, 1) else None
    return Coefficient("shared", lambda op: Dyadic.of(value), whole=True, unit=unit)


HALF = Coefficient("shared", lambda op: Dyadic(exact(1), exact(1)))


@dataclass(frozen=True, eq=False)
class Form:
    """`sum of coefficient * variable, plus constant`, rounded down if `floored`."""

    terms: tuple[tuple[int, Coefficient], ...] = ()
    constant: Coefficient = field(default_factory=lambda: constant(0))
    floored: bool = False

    @property
    def whole(self) -> bool:
        """Whether all its coefficients are integers."""
        return self.constant.whole and all(coefficient.whole for _, coefficient in self.terms)

    def times(self, factor: Coefficient) -> Form:
        """Return its product with a parameter."""
        terms = tuple((variable, c.times(factor)) for variable, c in self.terms)
        return Form(terms, self.constant.times(factor))

    def plus(self, other: Form) -> Form:
        """Return the sum; integers may go under a floor."""
        if self.floored and other.floored:
            raise NotLinearError
        if self.floored != other.floored and not (other if self.floored else self).whole:
            raise NotLinearError
        terms = dict(self.terms)
        for variable, coefficient in other.terms:
            known = terms.get(variable)
            terms[variable] = coefficient if known is None else known.plus(coefficient)
        total = self.constant.plus(other.constant)
        return Form(tuple(terms.items()), total, self.floored or other.floored)

    def scaled(self, k: Coefficient) -> Form:
        """Return it times `2**-k`, not rounded."""
        terms = tuple((variable, c.scaled(k)) for variable, c in self.terms)
        scaled = self.constant if self.constant.unit == 0 else self.constant.scaled(k)
        return Form(terms, scaled)


@dataclass(frozen=True, eq=False)
class Variable:
    """A value of the kernel: what it is made of, and the instruction whose value it is.

    `kind` is "input", "state", "form", or a primitive of the operands, which are forms that are a
    variable, or a parameter alone.
    """

    kind: str
    number: int
    form: Form | None = None
    operands: tuple[Form, ...] = ()
    name: str = ""
    value: int = 0


class Lowered:
    """An equation's variables in order, its result and its next states.

    Raises
    ------
    NotLinearError
        It has modes, reductions over channels, shifts by computed amounts, or the like.
    """

    def __init__(self, code: Code) -> None:
        self.code = code
        self.variables: list[Variable] = []
        self._forms: list[Form] = []
        for number, item in enumerate(code.instructions):
            self._forms.append(self._form(number, item))
        self.result = self.variable(code.result)
        self.states = {name: self.variable(number) for name, number in code.states.items()}

    def variable(self, number: int) -> int:
        """Return the variable that holds an instruction's value."""
        form = self._forms[number]
        if len(form.terms) == 1 and not form.floored and form.constant.unit == 0:
            variable, coefficient = form.terms[0]
            if coefficient.unit == 1:
                return variable
        made = self._new(Variable("form", number, form))
        self._forms[number] = _of(made)
        return made

    def _new(self, variable: Variable) -> int:
        self.variables.append(variable)
        return len(self.variables) - 1

    def _operand(self, number: int) -> Form:
        form = self._forms[number]
        return form if not form.terms and not form.floored else _of(self.variable(number))

    def _form(self, number: int, item: Instruction) -> Form:
        kind, args = item.kind, item.args
        if item.axis not in ("shared", "channel", "entry"):
            raise NotLinearError
        if kind in ("input", "state"):
            return _of(self._new(Variable(kind, number, name=item.name, value=item.value)))
        if kind == "number":
            return Form((), constant(item.value))
        if kind == "parameter":
            return Form((), _parameter(item))
        if kind in ("add", "sub"):
            return self._sum(args, 1 if kind == "add" else -1)
        if kind == "mul":
            return self._product(number, args)
        if kind in ("rshift", "floor_shift"):
            return self._shifted(args, HALF if kind == "rshift" else constant(0))
        if kind == "lookup":
            table = self._forms[args[0]].constant
            return Form((), replace(table, index=self.variable(args[1])))
        if kind in ("minimum", "maximum", "greater", "select", "saturated"):
            operands = tuple(self._operand(arg) for arg in args)
            return _of(self._new(Variable(kind, number, operands=operands)))
        raise NotLinearError

    def _sum(self, args: tuple[int, ...], sign: int) -> Form:
        first, second = (self._forms[arg] for arg in args)
        if second.floored and (sign < 0 or first.floored or not first.whole):
            second = _of(self.variable(args[1]))
        if first.floored and not second.whole:
            first = _of(self.variable(args[0]))
        return first.plus(second if sign > 0 else second.times(constant(-1)))

    def _product(self, number: int, args: tuple[int, ...]) -> Form:
        forms = [self._forms[arg] for arg in args]
        for factor, form, arg in ((forms[0], forms[1], args[1]), (forms[1], forms[0], args[0])):
            if not factor.terms and not factor.floored:
                return (_of(self.variable(arg)) if form.floored else form).times(factor.constant)
        operands = tuple(_of(self.variable(arg)) for arg in args)
        return _of(self._new(Variable("mul", number, operands=operands)))

    def _shifted(self, args: tuple[int, ...], half: Coefficient) -> Form:
        p, k = (self._forms[arg] for arg in args)
        if k.terms or k.floored or k.constant.index is not None:
            raise NotLinearError
        if p.floored:
            p = _of(self.variable(args[0]))
        scaled = p.scaled(k.constant)
        return replace(scaled.plus(Form((), half)), floored=True)


def _of(variable: int) -> Form:
    return Form(((variable, constant(1)),))


def _parameter(item: Instruction) -> Coefficient:
    number = item.value
    return Coefficient(item.axis, lambda op: Dyadic.of(np.asarray(op.parameters[number])), True)
