"""An image check for imagine-bot: `image_check = ["python", "/srv/image_check.py", ...]` in `[moderation]`.

Ends with 0 to allow an image, with 1 to hide it behind a click, with 2 to block it, and with 3 if it cannot tell.
With `--model FILE` it asks a classifier in ONNX format (needs `pip install onnxruntime`) whose last output is a row of
scores; without one it only looks at how bright the image is, which shows that the check works and protects nobody.

Whatever goes wrong, a misspelt option or a missing package too, ends with 3: Python's own codes would be verdicts.
"""

import argparse
import sys
import traceback

ALLOW, SPOILER, BLOCK, UNSURE = 0, 1, 2, 3


def score_of(path: str, model: str, index: int) -> float:
    """Return the classifier's score of one class, from 0 to 1."""
    import numpy as np
    import onnxruntime
    from PIL import Image

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    wanted = session.get_inputs()[0]
    size = next((side for side in wanted.shape[2:] if isinstance(side, int)), 224)
    with Image.open(path, formats=["PNG"]) as image:
        pixels = np.asarray(image.convert("RGB").resize((size, size)), dtype=np.float32) / 255
    scores = session.run(None, {wanted.name: (pixels.transpose(2, 0, 1)[None] - 0.5) / 0.5})[-1][0]
    exponentials = np.exp(scores - scores.max())
    return float((exponentials / exponentials.sum())[index])


def brightness_of(path: str) -> float:
    """Return the mean brightness of an image, from 0 to 255."""
    import numpy as np
    from PIL import Image

    with Image.open(path, formats=["PNG"]) as image:
        return float(np.asarray(image.convert("L")).mean())


def main() -> int:
    """Judge the image whose path comes last."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", help="a classifier in ONNX format")
    parser.add_argument("--index", type=int, default=1, help="which of its classes to look at")
    parser.add_argument("--spoiler-from", type=float, default=0.5)
    parser.add_argument("--block-from", type=float, default=0.8)
    parser.add_argument("--block-darker-than", type=float, default=0.0, help="without a classifier: 0 to 256")
    parser.add_argument("image")
    options = parser.parse_args()
    if options.model is None:
        return BLOCK if brightness_of(options.image) < options.block_darker_than else ALLOW
    score = score_of(options.image, options.model, options.index)
    if score >= options.block_from:
        return BLOCK
    return SPOILER if score >= options.spoiler_from else ALLOW


if __name__ == "__main__":
    try:
        code = main()
    except SystemExit:  # argparse has said which option it does not know, and would end with 2, which means BLOCK
        code = UNSURE
    except Exception:  # noqa: BLE001 - Python itself would end with 1, which means SPOILER
        traceback.print_exc()
        code = UNSURE
    sys.exit(code)
