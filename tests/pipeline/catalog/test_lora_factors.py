"""Which factor of which layer a tensor is, whoever named it and when."""

from __future__ import annotations

import pytest

from pipeline.catalog.layouts.lora_factors import Factor, Role, factor_of

ATTENTION = "unet.mid_block.attentions.0.transformer_blocks.0.attn1"
TEXT = "text_encoder.text_model.encoder.layers.0.self_attn"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("transformer.a.to_q.lora_A.weight", Factor("transformer.a.to_q", Role.DOWN)),
        ("a.lora_B.default.weight", Factor("a", Role.UP)),
        ("lora_unet_a_b.lora_down.weight", Factor("lora_unet_a_b", Role.DOWN)),
        ("lora_unet_a_b.alpha", Factor("lora_unet_a_b", Role.ALPHA)),
        ("a.lora.up.weight", Factor("a", Role.UP)),
        (f"{TEXT}.q_proj.lora_linear_layer.down.weight", Factor(f"{TEXT}.q_proj", Role.DOWN)),
        (f"{TEXT}.to_out_lora.up.weight", Factor(f"{TEXT}.out_proj", Role.UP)),
        (f"{ATTENTION}.processor.to_q_lora.down.weight", Factor(f"{ATTENTION}.to_q", Role.DOWN)),
        (f"{ATTENTION}.processor.to_out_lora.up.weight", Factor(f"{ATTENTION}.to_out.0", Role.UP)),
        (f"{ATTENTION}.processor.to_out_lora.alpha", Factor(f"{ATTENTION}.to_out.0", Role.ALPHA)),
        (f"{ATTENTION}.processor.to_q.alpha", Factor(f"{ATTENTION}.to_q", Role.ALPHA)),
        (
            "double_blocks.12.processor.qkv_lora2.down.weight",
            Factor("double_blocks.12.txt_attn.qkv", Role.DOWN, is_xlabs=True),
        ),
        (
            "double_blocks.0.processor.proj_lora1.up.weight",
            Factor("double_blocks.0.img_attn.proj", Role.UP, is_xlabs=True),
        ),
        (
            "single_blocks.3.processor.qkv_lora.up.weight",
            Factor("single_blocks.3.linear1.qkv", Role.UP, is_xlabs=True),
        ),
        (
            "diffusion_model.single_blocks.3.processor.proj_lora.alpha",
            Factor("diffusion_model.single_blocks.3.linear2", Role.ALPHA, is_xlabs=True),
        ),
        ("double_blocks.0.processor.qkv_lora3.down.weight", None),
        ("double_blocks.0.processor.qkv_lora.down.weight", None),
        ("single_blocks.0.processor.qkv_lora1.down.weight", None),
        ("double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight", None),
        (f"{ATTENTION}.to_q_lora1.down.weight", None),
        ("a.lora_down.bias", None),
        ("a.lora_mid.weight", None),
        (".lora_A.weight", None),
        ("lora_A.weight", None),
        ("", None),
        ("a" * 100_000, None),
        ("a.processor." * 10_000 + "weight", None),
    ],
)  # fmt: skip
def test_name_says_the_layer_and_what_it_is_to_it(name: str, expected: Factor | None) -> None:
    assert factor_of(name) == expected
