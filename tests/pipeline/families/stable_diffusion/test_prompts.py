"""Prompts are read as AUTOMATIC1111 reads them, cut into chunks for CLIP, and weighed as ComfyUI weighs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.families.stable_diffusion.prompts import (
    CHUNK_TOKENS,
    CLIP_TOKENS,
    MAX_CHUNKS,
    MAX_WEIGHT,
    OPEN_CLIP_PAD,
    Chunks,
    Vocabulary,
    chunks,
    hidden_index,
    parse,
    vocabulary_of,
    weigh,
)
from pipeline.runtime.prompt_tokenizer import ReadsPrompts, read_tokenizer
from pipeline.spec import MAX_PROMPT_CHARS
from tests.pipeline.families.flux.random_flux import write_clip_tokenizer

START, END, COMMA = 510, 511, 300
MARKUP = ["(", ")", "[", "]", "\\", ":1.3)", ":-.5)", ":1.2.3)", ": 9 )", ":b)", " BREAK ", "BREAK", "red", ", ", "😀"]
TEXTS = st.text(max_size=200) | st.text("()[]\\:.+-0123456789 ab,", max_size=200)
PROMPTS = TEXTS | st.lists(st.sampled_from(MARKUP), max_size=100).map("".join)


def tokenize(text: str) -> list[int]:
    """Number words by their lengths; commas are tokens of their own."""
    return [COMMA if word == "," else len(word) for word in re.findall(r"[^\s,]+|,", text)]


WORDS = Vocabulary(tokenize=tokenize, start=START, end=END, comma=COMMA)


def cut(prompt: str) -> Chunks:
    return chunks(parse(prompt), WORDS)


def words(count: int) -> str:
    return " ".join(["word"] * count)


def lengths(prompt: str) -> list[int]:
    return [len(tokens) for tokens in cut(prompt).tokens]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> ReadsPrompts:
    """One of CLIP's kind that knows single bytes."""
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    write_clip_tokenizer(folder)
    return read_tokenizer(folder)


@pytest.mark.parametrize(
    ("prompt", "spans"),
    [
        ("", []),
        ("a red fox", [("a red fox", 1)]),
        ("an (important) word", [("an ", 1), ("important", 1.1), (" word", 1)]),
        ("an [unimportant] word", [("an ", 1), ("unimportant", 0.909091), (" word", 1)]),
        ("(fox:1.3)", [("fox", 1.3)]),
        ("(fox: +.5 ), (red:2.)", [("fox", 0.5), (", ", 1), ("red", 2)]),
        ("((fox:1.3))", [("fox", 1.43)]),
        ("([fox])", [("fox", 1)]),
        ("(((a)) [b] (c:0.5)), d", [("a", 1.331), (" ", 1.1), ("b", 1), (" ", 1.1), ("c", 0.55), (", d", 1)]),
        ("(a)(b)", [("ab", 1.1)]),
        ("(a [b) c]", [("a ", 1.1), ("b", 1), (" c", 0.909091)]),
        ("a (fox", [("a ", 1), ("fox", 1.1)]),
        ("[[(", []),
        ("fox) red]", [("fox) red]", 1)]),
        ("at 5:30) sharp", [("at 5:30) sharp", 1)]),
        ("[fox:1.3]", [("fox:1.3", 0.909091)]),
        ("[fox:cat:0.5]", [("fox:cat:0.5", 0.909091)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("(a:1.2.3)(b:1e9)(c:.)(d:1,5)", [("a:1.2.3b:1e9c:.d:1,5", 1.1)]),
        ("(a:0)(b:-2)(c:0.0000001)", [("a", 0), ("b", -2), ("c", 0)]),
        ("(a:99)(b:-99999999)", [("a", MAX_WEIGHT), ("b", -MAX_WEIGHT)]),
        (f"{'(' * 999}a", [("a", MAX_WEIGHT)]),
        (f"{'[' * 999}a", [("a", 0)]),
        (f"((a:{'9' * 400}):0)", [("a", 0)]),
        (r"fox \(red\) \[old\] \\ a\b", [(r"fox (red) [old] \ a\b", 1)]),
        (r"(\(fox\):1.2)", [("(fox)", 1.2)]),
        ("(🦊:1.2) 狐狸", [("🦊", 1.2), (" 狐狸", 1)]),
        ("{fox} <fox> （fox）", [("{fox} <fox> （fox）", 1)]),
    ],
)
def test_brackets_give_weights(prompt: str, spans: list[tuple[str, float]]) -> None:
    assert [(span.text, span.weight) for span in parse(prompt)] == spans


@pytest.mark.parametrize(
    ("prompt", "spans"),
    [
        ("a BREAK b", [("a", False), ("b", True)]),
        ("BREAK a\nBREAK\nBREAK b BREAK", [("a", False), ("b", True)]),
        ("(a BREAK b:1.2)", [("a", False), ("b", True)]),
        ("breakfast BREAKS a break", [("breakfast BREAKS a break", False)]),
        (r"a \(BREAK b", [("a (", False), ("b", True)]),
    ],
)
def test_break_begins_a_chunk(prompt: str, spans: list[tuple[str, bool]]) -> None:
    assert [(span.text, span.begins_chunk) for span in parse(prompt)] == spans


@given(TEXTS)
def test_text_without_markup_is_left_as_it_is(text: str) -> None:
    plain = re.sub(r"[()\[\]\\]|BREAK", "", text)
    escaped = re.sub(r"([()\[\]\\])", r"\\\1", text.replace("BREAK", ""))

    assert "".join(span.text for span in parse(plain)) == plain
    assert "".join(span.text for span in parse(escaped)) == text.replace("BREAK", "")
    assert {span.weight for span in parse(plain) + parse(escaped)} <= {1}


@given(PROMPTS)
def test_any_text_becomes_few_chunks_that_hold_all_its_tokens_in_order(prompt: str) -> None:
    spans = parse(prompt)
    read = chunks(spans, WORDS)
    weights = [weight for row in read.weights for weight in row]

    assert all(-MAX_WEIGHT <= weight <= MAX_WEIGHT for weight in weights)
    assert 1 <= len(read.tokens) <= MAX_CHUNKS
    assert all(len(tokens) <= CHUNK_TOKENS for tokens in read.tokens)
    assert all(read.tokens) or read.tokens == ((),)
    assert {len(row) for row in read.ids(0) + read.factors()} == {CLIP_TOKENS}
    everything = [(token, span.weight) for span in spans for token in tokenize(span.text) if token not in (START, END)]
    kept = list(zip((token for row in read.tokens for token in row), weights, strict=True))
    assert kept == everything[: len(kept)]
    assert read.is_cut or len(kept) == len(everything)


@settings(max_examples=30)
@given(text=st.text(min_size=1, max_size=40))
def test_a_prompt_of_the_greatest_length_becomes_few_chunks(text: str, tokenizer: ReadsPrompts) -> None:
    prompt = (text * MAX_PROMPT_CHARS)[:MAX_PROMPT_CHARS].encode("utf-8", "replace").decode("utf-8")
    read = chunks(parse(prompt), vocabulary_of(tokenizer))

    assert len(read.tokens) <= MAX_CHUNKS


def test_short_prompts_are_read_as_the_tokenizer_reads_them(tokenizer: ReadsPrompts) -> None:
    vocabulary = vocabulary_of(tokenizer)
    for prompt in ("", "a red fox, 2 × 猫 🙂", "x" * 75):
        read = chunks(parse(prompt), vocabulary)

        assert read.ids(vocabulary.end) == tokenizer(prompt, max_length=CLIP_TOKENS).input_ids.tolist()
        assert read.factors() == [[1.0] * CLIP_TOKENS]
        assert not read.is_weighted
    assert vocabulary.comma == vocabulary.tokenize(",")[0]


def test_start_and_end_cannot_be_written_in_a_prompt(tokenizer: ReadsPrompts) -> None:
    vocabulary = vocabulary_of(tokenizer)
    written = chunks(parse("a <|endoftext|> b <|startoftext|> BREAK <|endoftext|> BREAK c"), vocabulary)

    assert written == chunks(parse("a b BREAK c"), vocabulary)


def test_weights_stand_at_their_tokens_and_padding_differs_between_encoders() -> None:
    read = cut("a (fox in:1.3) snow")

    assert read.is_weighted
    assert read.ids(END) == [[START, 1, 3, 2, 4, *[END] * 72]]
    assert read.ids(OPEN_CLIP_PAD) == [[START, 1, 3, 2, 4, END, *[0] * 71]]
    assert read.factors() == [[1, 1, 1.3, 1.3, *[1] * 73]]
    assert read.ids(OPEN_CLIP_PAD)[0][read.end_at] == END


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", [0]),
        (words(75), [75]),
        (words(76), [75, 1]),
        (words(151), [75, 75, 1]),
        (f"{words(70)}, {words(10)}", [71, 10]),  # what follows the comma stays together
        (f"{words(55)}, {words(25)}", [56, 25]),  # it is the first of the last 20 tokens
        (f"{words(54)}, {words(25)}", [75, 5]),  # too far back
        (f"{words(74)}, {words(5)}", [75, 5]),
        (f"{words(75)}, {words(5)}", [75, 6]),  # the comma itself does not fit
        (f"{words(70)}, ({words(10)}:1.3)", [71, 10]),
        (f"{words(3)} BREAK {words(4)}", [3, 4]),
        (f"{words(75)} BREAK {words(4)}", [75, 4]),
        (f"{words(3)} BREAK ( ) BREAK {words(4)}", [3, 4]),
    ],
)
def test_long_prompts_are_cut_at_breaks_and_commas(prompt: str, expected: list[int]) -> None:
    assert lengths(prompt) == expected


def test_what_is_beyond_the_last_chunk_is_left_out_and_that_is_said() -> None:
    most = words(MAX_CHUNKS * CHUNK_TOKENS)

    assert not cut(most).is_cut
    assert cut(f"{most} more").is_cut
    assert cut("a BREAK " * (MAX_CHUNKS + 1)).is_cut
    assert len(cut("a BREAK " * 250).tokens) == MAX_CHUNKS


def test_two_prompts_get_equally_many_chunks() -> None:
    short = cut("fox").extended(3)

    assert short.ids(END) == [[START, 3, *[END] * 75], [START, *[END] * 76], [START, *[END] * 76]]
    assert short.ids(0)[2] == [START, END, *[0] * 75]
    assert short.factors() == [[1.0] * CLIP_TOKENS] * 3
    assert short.extended(2) == short


def test_weights_move_embeddings_away_from_those_of_an_empty_prompt() -> None:
    random = torch.Generator().manual_seed(0)
    embeddings, empty = torch.randn(2, 4, 8, generator=random), torch.randn(1, 4, 8, generator=random)
    factors = torch.tensor([[1.0, 1.5, 0.0, 1.0], [1.0, 1.0, 1.0, -2.0]])
    weighed = weigh(embeddings, factors, empty)

    assert torch.equal(weighed[factors == 1], embeddings[factors == 1])
    assert torch.allclose(weighed[0, 1], 1.5 * embeddings[0, 1] - 0.5 * empty[0, 1])
    assert torch.equal(weighed[0, 2], empty[0, 2])
    assert torch.allclose(weighed[1, 3], 3 * empty[0, 3] - 2 * embeddings[1, 3], atol=1e-6)
    assert weigh(embeddings.half(), factors, empty.half()).dtype is torch.float16


def test_clip_skip_counts_from_the_last_layer_as_the_models_learnt() -> None:
    from diffsynth.models.stable_diffusion_text_encoder import SDTextEncoder

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "vocab_size": 16}
    encoder = SDTextEncoder(**sizes, num_hidden_layers=4).requires_grad_(False)
    last, states = encoder(torch.arange(8).unsqueeze(0))
    norm = encoder.model.text_model.final_layer_norm
    layers = encoder.model.text_model.encoder.layers

    assert torch.equal(norm(states[hidden_index(1, is_xl=False, layers=4)]), last)
    assert torch.equal(norm(states[hidden_index(0, is_xl=False, layers=4)]), last)
    before_last = states[hidden_index(2, is_xl=False, layers=4)]
    causal = torch.full((8, 8), float("-inf")).triu(1)[None, None]
    assert torch.equal(layers[-1](before_last, attention_mask=causal), states[-1])
    # SDXL's is the layer before the last one, also for pictures whose metadata say 1.
    assert [hidden_index(skip, is_xl=True, layers=12) for skip in (0, 1, 2, 3, 12)] == [-2, -2, -2, -3, -12]
    for skip in (-1, 5):
        with pytest.raises(ValueError, match="4 layers"):
            hidden_index(skip, is_xl=False, layers=4)
