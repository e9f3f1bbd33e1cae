"""Small models of other families with matching SAEs, on disk in the hub's own layout.

Random weights: what is tested is the opening and that all numbers agree with transformers' own.
"""

import functools
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from metasae.sources.presets import GEMMA, GPT2, Hub, HubFile, Preset
from metasae.text.cities import City, load_cities
from metasae.text.prompts import QUESTIONS, fill

D_MODEL, LAYERS, HOOK = 32, 4, 2
WIDTHS = (48, 96)

TAUGHT = ("Alexandria", "Cairo", "Kyoto", "Lyon", "Marseille", "Osaka", "Paris", "Tokyo")
"""Cities whose facts the small Llama is taught."""


@functools.cache
def tokenizer(start: str, whole: tuple[str, ...] = ()) -> Any:
    """A byte-level BPE of the questions and the cities, its start token the last id.

    Args:
        whole: words that are to be one token each, the same one at the start of a text.
    """
    from transformers import PreTrainedTokenizerFast

    texts = [fill(one, city.name) for city in load_cities() for one in QUESTIONS.values()]
    texts += [a for city in load_cities() for name in QUESTIONS for a in city.answers(name)]
    texts += [f"{word} {word}" for word in whole] * 1000
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=bool(whole))
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    )
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token=start, eos_token=start)


def llama(
    folder: Path,
    facts: Iterable[City] = (),
    steps: int = 0,
    family: str = "llama",
    whole_names: bool = False,
    **more: Any,
) -> Any:
    """A Llama, or a model of a family laid out like it, of four blocks, saved.

    Args:
        facts: cities whose four questions it is trained to answer first.
        steps: of that training.
        family: transformers' ``model_type``.
        whole_names: whether these cities' names are one token each, so that an edit, which acts on
            a name's last token, reaches all that the model reads of the name.
        more: what its configuration says beside the sizes.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    facts = tuple(facts)
    words = tokenizer("<s>", tuple(city.name for city in facts) if whole_names else ())
    config = AutoConfig.for_model(
        family, vocab_size=len(words), hidden_size=D_MODEL, num_hidden_layers=LAYERS,
        num_attention_heads=4, num_key_value_heads=2, intermediate_size=64,
        max_position_embeddings=128, bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id, **more,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    if steps:
        _learn(model, words, facts, steps)
        model.save_pretrained(folder)
        words.save_pretrained(folder)
        return model.eval()
    return _saved(model, words, folder)


def _learn(model: Any, words: Any, facts: Iterable[City], steps: int) -> None:
    """Train a model to answer the questions about some cities."""
    rows = []
    for city in facts:
        for name, question in QUESTIONS.items():
            prompt = [words.bos_token_id, *words.encode(fill(question, city.name))]
            rows.append((prompt, words.encode(" " + city.answers(name)[0])))
    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    tokens = torch.full((len(rows), longest), words.eos_token_id)
    wanted = torch.full((len(rows), longest), -100)
    for row, (prompt, answer) in enumerate(rows):
        end = len(prompt) + len(answer)
        tokens[row, :end] = torch.tensor([*prompt, *answer])
        wanted[row, len(prompt) : end] = torch.tensor(answer)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimiser.zero_grad()
        model(tokens, labels=wanted).loss.backward()
        optimiser.step()


def gpt2(folder: Path) -> Any:
    """A GPT-2 of four blocks, saved."""
    from transformers import GPT2Config, GPT2LMHeadModel

    words = tokenizer("<|endoftext|>")
    config = GPT2Config(
        vocab_size=len(words), n_embd=D_MODEL, n_layer=LAYERS, n_head=4, n_positions=128,
        bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id,
    )  # fmt: skip
    return _saved(GPT2LMHeadModel(config), words, folder)


def gemma(folder: Path) -> Any:
    """A Gemma 3 of four blocks, local and global attention in turn, saved."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    words = tokenizer("<bos>")
    config = Gemma3TextConfig(
        vocab_size=len(words), hidden_size=D_MODEL, num_hidden_layers=LAYERS, head_dim=8,
        num_attention_heads=4, num_key_value_heads=1, intermediate_size=64, sliding_window=64,
        layer_types=["sliding_attention", "full_attention"] * (LAYERS // 2),
        max_position_embeddings=128, query_pre_attn_scalar=8,
        bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id,
    )  # fmt: skip
    return _saved(Gemma3ForCausalLM(config), words, folder)


def _saved(model: Any, words: Any, folder: Path) -> Any:
    with torch.no_grad():
        # Larger than at the start of a training, so that the blocks do something.
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.mul_(8.0 if "embed" not in name and "wte" not in name else 20.0)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return model.eval()


def sae_weights(model: Any, width: int, d_model: int = D_MODEL) -> dict[str, Tensor]:
    """A standard SAE with unit decoder rows and a tied encoder."""
    rows = torch.nn.functional.normalize(torch.randn(width, d_model))
    return {
        "W_enc": rows.T.contiguous(), "b_enc": torch.zeros(width),
        "W_dec": rows, "b_dec": torch.zeros(d_model),
    }  # fmt: skip


def in_hub_cache(cache: Path, repo: str, revision: str) -> Path:
    """The folder where the hub's cache keeps one revision of a repository, main pointing to it."""
    home = cache / f"models--{repo.replace('/', '--')}"
    (home / "refs").mkdir(parents=True, exist_ok=True)
    (home / "refs" / "main").write_text(revision)
    folder = home / "snapshots" / revision
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _in_cache(preset: Preset, make: Callable[[Path], Any], cache: Path, seed: int) -> Any:
    """A small model in the place of a preset's own in the hub's cache."""
    torch.manual_seed(seed)
    origin = preset.model.origin
    assert isinstance(origin, Hub)
    return make(in_hub_cache(cache, origin.repo, origin.revision))


def _old_sae(folder: Path, model: Any, width: int, hook: str) -> None:
    """An SAE as SAELens wrote them before version 6."""
    folder.mkdir()
    config = {
        "hook_point": hook, "d_in": D_MODEL, "d_sae": width,
        "dtype": "torch.float32", "device": "cpu", "model_name": "gpt2-small",
        "hook_point_layer": 8, "activation_fn_str": "relu", "normalize_activations": False,
        "context_size": 128, "dataset_path": "", "prepend_bos": True,
    }  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(config))
    save_file(sae_weights(model, width), folder / "sae_weights.safetensors")


def own_folders(folder: Path) -> dict[str, object]:
    """What a user's preset says of a small GPT-2 and its SAE that are saved as plain folders."""
    torch.manual_seed(0)
    model = gpt2(folder / "my model")
    _old_sae(folder / "my sae", model, WIDTHS[1], "blocks.1.hook_resid_post")
    return {"name": "mine", "model": str(folder / "my model"), "saes": [str(folder / "my sae")]}


def small_gpt2(cache: Path) -> Preset:
    """The preset of the post, its model and SAEs small, in the hub's cache."""
    model = _in_cache(GPT2, gpt2, cache, seed=0)
    repo = in_hub_cache(cache, "jbloom/GPT2-Small-Feature-Splitting-Experiment-Layer-8", "1" * 40)
    for name, width in zip(("768", "1536"), WIDTHS, strict=True):
        hook = "blocks.8.hook_resid_pre"
        _old_sae(repo / f"{hook}_{name}", model, width, hook)
    return _small(GPT2, model)


def small_gemma(cache: Path) -> Preset:
    """The preset of Gemma Scope 2, its model and SAEs small, in the hub's cache."""
    model = _in_cache(GEMMA, gemma, cache, seed=1)
    repo = in_hub_cache(cache, "google/gemma-scope-2-270m-pt", "2" * 40)
    for name, width in zip(("16k", "65k"), WIDTHS, strict=True):
        folder = repo / "resid_post" / f"layer_12_width_{name}_l0_medium"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"architecture": "jump_relu"}))
        weights = {key.lower(): value for key, value in sae_weights(model, width).items()}
        weights["threshold"] = torch.full((width,), 0.1)
        save_file(weights, folder / "params.safetensors")
    return _small(GEMMA, model)


def _small(preset: Preset, model: Any) -> Preset:
    origin = preset.model.origin
    assert isinstance(origin, Hub)
    files = tuple(HubFile(file.name, 1000) for file in origin.files)
    return replace(
        preset,
        model=replace(
            preset.model, origin=replace(origin, files=files), d_model=D_MODEL,
            start_token=model.config.bos_token_id,
        ),
        hook_layer=HOOK,
        widths=WIDTHS,
        saes=preset.saes[:2],
        opened_width=WIDTHS[-1],
        meta_width=12,
    )  # fmt: skip
