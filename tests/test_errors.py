from __future__ import annotations

import pytest

from neurossm import errors


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_can_be_caught_as_the_base(name: str) -> None:
    error = getattr(errors, name)
    with pytest.raises(errors.NeuroSSMError, match=r"^model\.pt: width 40, at most 24$"):
        raise error("model.pt: width 40, at most 24")
