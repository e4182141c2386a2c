"""Models that an earlier command saved: found by their manifest, checked, and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from recscale.errors import UserError
from recscale.files import read_json, sha256
from recscale.pretraining.model import ModelSettings, load_model


def saved_folder(path: Path, manifest: dict[str, Any]) -> Path:
    """The folder of the model that a manifest describes.

    Raises:
        UserError: a file is missing or was changed since.
    """
    folder = Path(manifest["folder"])
    for name, digest in manifest["files"].items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise UserError(
                f"{folder / name} is missing, truncated or not the file that {path} describes",
                f"delete {path} and run its target again",
            )
    return folder


def read_base(path: Path, size: str, wanted: ModelSettings) -> PreTrainedModel:
    """The base model that a manifest describes, in fp32.

    Raises:
        UserError: the base is of another size or shape, or a file is missing or was changed.
    """
    manifest = read_json(path)
    if manifest["size"] != size:
        raise UserError(
            f"{path} is of {manifest['size']}, the run of {size}",
            "pass the base model of the run's size",
        )
    folder = saved_folder(path, manifest)
    model = load_model(folder)
    check_shape(model, wanted, folder)
    return model


def check_shape(model: PreTrainedModel, wanted: ModelSettings, folder: Path) -> None:
    """Raise a UserError if a model trained here has another shape than the settings ask for."""
    shape = {
        "hidden": model.config.hidden_size,
        "layers": model.config.num_hidden_layers,
        "heads": model.config.num_attention_heads,
        "key_value_heads": model.config.num_key_value_heads,
        "head_dimension": model.config.head_dim,
        "feed_forward": model.config.intermediate_size,
    }
    for name, value in shape.items():
        setting = getattr(wanted, name)
        if wanted.checkpoint is None and setting != value:
            raise UserError(
                f"the model in {folder} has {name} {value}, settings.model.{name} is {setting}",
                "train the base model again with these settings",
            )
