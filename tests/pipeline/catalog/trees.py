"""Folders of weights as people have them, in miniature: ComfyUI, Forge, the cache of Hugging Face."""

from __future__ import annotations

from pathlib import Path

from tests.pipeline.catalog import miniature_headers as heads

LORA = {
    "lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (4, 8),
    "lora_unet_double_blocks_0_img_attn_proj.lora_up.weight": (8, 4),
}


def write_flux(path: Path, *, is_schnell: bool = False) -> Path:
    """A transformer with Black Forest Labs' names."""
    tensors = heads.flux()
    return heads.write_safetensors(
        path, {name: each for name, each in tensors.items() if not is_schnell or "guidance_in" not in name}
    )


def write_companions(root: Path, *, clip: str = "clip", t5: str = "text_encoders", vae: str = "vae") -> None:
    """What FLUX.1 needs beside a transformer, in folders of these names."""
    heads.write_safetensors(root / clip / "clip_l.safetensors", heads.clip())
    heads.write_safetensors(root / t5 / "t5xxl_fp8_e4m3fn.safetensors", heads.typed(heads.t5(), "F8_E4M3"))
    heads.write_safetensors(root / t5 / "t5xxl_fp16.safetensors", heads.typed(heads.t5(), "F16"))
    heads.write_safetensors(root / vae / "ae.safetensors", heads.vae())


def write_comfyui(root: Path) -> Path:
    """ComfyUI's folder of models, with what else lies there."""
    models = root / "Comfy UI" / "models"
    write_flux(models / "diffusion_models" / "flux1-dev.safetensors")
    write_flux(models / "unet" / "写实" / "真实系 “模型” 'v2'.safetensors")
    write_flux(models / "unet" / "-schnell.safetensors", is_schnell=True)
    write_companions(models)
    heads.write_safetensors(models / "loras" / "style.safetensors", LORA)
    (models / "checkpoints").mkdir()
    (models / "checkpoints" / "old.ckpt").write_bytes(b"PK\x03\x04archive/data.pkl")
    (models / "checkpoints" / "put_checkpoints_here").touch()
    (models / "loop").symlink_to("..")
    return models


def write_hf_cache(root: Path) -> Path:
    """The cache of Hugging Face: links into a folder of nameless files. Returns the folder of the repository."""
    repo = root / "hub" / "models--black-forest-labs--FLUX.1-dev"
    snapshot = repo / "snapshots" / "0ef5fff789c832c5c7f4e127f94c8b54bbcced44"
    snapshot.mkdir(parents=True)
    blobs = {"flux1-dev.safetensors": heads.flux(), "ae.safetensors": heads.vae()}
    for number, (name, tensors) in enumerate(blobs.items()):
        heads.write_safetensors(repo / "blobs" / f"{number:064x}", tensors)
        (snapshot / name).symlink_to(f"../../blobs/{number:064x}")
    heads.write_shards(snapshot / "text_encoder_2", heads.t5())
    heads.write_safetensors(snapshot / "text_encoder" / "model.safetensors", heads.clip())
    return repo
