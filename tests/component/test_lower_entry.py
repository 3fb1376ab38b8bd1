# SPDX-License-Identifier: Apache-2.0
"""`edgectl.lower.lower` on modules as users write them: several inputs and outputs, keywords, integers, constants."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from edgectl.lower import Program, lower
from edgectl.lower.agreement import least_agreement, signal_to_noise
from edgectl_protos.errors import InputError, UndelegatedError, UsageError
from torch import Tensor, nn

IDS = torch.tensor([[1, 2, 3, 4, 5]])
HIDDEN = torch.randn(1, 8, generator=torch.Generator().manual_seed(1))
SCALE = torch.tensor([2.0])


class Tagger(nn.Module):
    """Token ids and floats in, keywords too; a dictionary with a tuple and integers out."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.norm = nn.Embedding(10, 8), nn.LayerNorm(8)
        self.dropout, self.head = nn.Dropout(0.5), nn.Linear(8, 4)

    def forward(self, ids: Tensor, hidden: Tensor, *, scale: Tensor, times: int = 1) -> dict[str, object]:
        mixed = self.dropout(self.norm(self.table(ids)).mean(1) + hidden)
        return {"logits": self.head(mixed) * scale * times, "others": (mixed, ids.argmax(1))}


@cache
def tagger() -> tuple[nn.Module, Program]:
    module = Tagger().train()
    return module, lower(module, example_inputs=(IDS, HIDDEN), example_kwargs={"scale": SCALE, "times": 3})


def test_several_inputs_and_outputs_of_any_dtype_give_what_eager_gives() -> None:
    module, program = tagger()
    assert [spec.dtype for spec in program.inputs] == ["int64", "float32", "float32"]
    assert [spec.dtype for spec in program.outputs] == ["float32", "float32", "int64"]
    ids, hidden = IDS.flip(1), -HIDDEN
    module.eval()
    with torch.no_grad():
        wanted = module(ids, hidden, scale=SCALE, times=3)
    module.train()
    given = program.run((ids, hidden, SCALE))
    assert least_agreement(given, (wanted["logits"], *wanted["others"])) > 80
    assert (program.agreement or 0) > 80


def test_a_module_in_training_is_lowered_in_eval_mode_and_left_as_it_was() -> None:
    module, _ = tagger()
    assert all(part.training for part in module.modules())


def test_every_operator_outside_is_named_with_its_place_and_a_reason() -> None:
    outside = {operator.operator: operator for operator in tagger()[1].delegation.outside}
    assert outside["aten.embedding.default"].place == "table"
    assert "look-up" in outside["aten.embedding.default"].reason
    assert "argmax" in outside["aten.argmax.default"].reason


def test_fallback_is_refused_where_asked() -> None:
    with pytest.raises(UndelegatedError, match="outside the delegate") as caught:
        lower(nn.Embedding(4, 4), example_inputs=(IDS[:, :2],), fail_on_fallback=True)
    assert caught.value.exit_code == 1


def test_program_is_saved_whole_and_refuses_inputs_it_was_not_lowered_for(tmp_path: Path) -> None:
    _, program = tagger()
    assert program.save(tmp_path / "m.pte").read_bytes() == program.data
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.pte"]
    with pytest.raises(UsageError, match="cannot be written"):
        program.save(tmp_path / "no" / "m.pte")
    with pytest.raises(InputError, match="2 inputs"):
        program.run((IDS, HIDDEN))
    with pytest.raises(InputError, match="input 1 is float64"):
        program.run((IDS, HIDDEN.double(), SCALE))


@pytest.mark.parametrize(
    ("subject", "keywords", "match"),
    [
        (nn.Identity(), {}, "without example_inputs"),
        ("a model", {"example_inputs": (HIDDEN,)}, "a str to lower"),
        (nn.Identity(), {"example_inputs": (HIDDEN,), "target": "pi44"}, "unknown target"),
    ],
)
def test_subject_that_cannot_be_lowered_is_refused(subject: object, keywords: dict[str, object], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        lower(subject, **keywords)  # type: ignore[arg-type]


def test_agreement_is_low_for_wrong_outputs_and_forgives_equal_infinities() -> None:
    wanted = torch.tensor([1.0, float("inf"), -2.0])
    assert signal_to_noise(wanted, wanted) == 200
    assert signal_to_noise(torch.tensor([1.0, float("inf"), -2.001]), wanted) > 60
    assert signal_to_noise(torch.tensor([1.0, 5.0, -2.0]), wanted) == -200
    assert signal_to_noise(-HIDDEN, HIDDEN) < 0
    assert least_agreement((HIDDEN,), ()) == -200
