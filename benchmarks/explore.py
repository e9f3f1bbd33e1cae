"""How long the explorer takes: a latent's page, search while typing, and collecting the evidence.

A page's server time is everything the Latents page computes for one latent: its decomposition, its
neighbours here and in a smaller SAE, matching pursuit, promoted tokens, token change, its contexts
as snippets. Once on the embedded default, once with a synthetic 49,152 × 2,304 in its place.

A search finds a word and reads a text: the first one, which prepares the labels to be searched, and
the median of later ones; the model's pass over the text is timed alone, too. A graph is made and
laid out a first time and, at the median, later; that grows with the cube of its nodes, so their
number stands beside it.

The evidence's peer is the bare forward pass of the same model over the same tokens, in the same
precision, in the same run.

    python -m benchmarks.explore [--quick] [--json]
"""

import statistics
from functools import partial

import numpy as np
import torch

from benchmarks.figures import parser, print_figures
from benchmarks.peer import seconds
from metasae.explorer import gathering, graph
from metasae.explorer.explorer import META, Explorer, open_explorer
from metasae.explorer.labels import ScoredLabel
from metasae.explorer.latent_page import LatentPage
from metasae.lab.lab import open_lab
from metasae.lm.halves import base_model_copy
from metasae.lm.matmul import fast_dtype
from metasae.progress import Progress, silent, to_stream
from metasae.saes.autoencoder import SparseAutoencoder
from metasae.saes.decomposition import Decomposition
from metasae.text.windows import Windows, length_batches

LARGE = (49152, 2304)


class Larger(Explorer):
    """The explorer with a synthetic SAE in the place of the open one; its evidence stays."""

    synthetic: Decomposition

    def decomposition(self, width: int, progress: Progress = silent) -> Decomposition:
        """The synthetic SAE for the open one's width."""
        if width == self.lab.n_latents:
            return self.synthetic
        return super().decomposition(width, progress)

    def label(self, kind: str, index: int) -> str:
        """Labels there are, for numbers that there may not be."""
        count = self.lab.n_meta if kind == META else int(kind)
        return super().label(kind, index % count)

    def scored(self, kind: str, index: int) -> ScoredLabel:
        """Labels there are and how far they hold, for numbers that there may not be."""
        count = self.lab.n_meta if kind == META else int(kind)
        return super().scored(kind, index % count)


def page(shown: LatentPage, text: Windows) -> None:
    """What the Latents page computes."""
    shown.to_dict()
    _ = shown.token_change
    shown.snippets(text)
    if shown.evidence is not None:
        shown.evidence.histogram(shown.latent)


def large(width: int, metas: int, d_model: int) -> Decomposition:
    """Unit directions that are sums of few of some meta-directions, under a meta-SAE of these."""
    draw = torch.Generator().manual_seed(0)
    atoms = torch.nn.functional.normalize(torch.randn(metas, d_model, generator=draw))
    chosen = torch.randint(metas, (width, 4), generator=draw)
    rows = torch.nn.functional.normalize(atoms[chosen].sum(1))
    sae = SparseAutoencoder(rows.T, torch.zeros(width), rows, torch.zeros(d_model), k=4)
    meta = SparseAutoencoder(
        atoms.T,
        torch.zeros(metas),
        atoms,
        torch.zeros(d_model),
        threshold=torch.full((metas,), 0.3),
    )
    return Decomposition(sae, meta)


def pages(count: int) -> dict[str, float]:
    """Milliseconds of a page, at the median and the 95th percentile."""
    lab = open_lab(progress=to_stream())
    explorer = open_explorer(lab)
    text = explorer.text(progress=to_stream())
    assert text is not None
    synthetic = large(*LARGE, lab.model.d_model)
    built = seconds(lambda: synthetic.activations)
    values: dict[str, float] = {"decompose_large_s": built}
    larger = Larger(lab, explorer.folder, explorer.shipped)
    larger.synthetic = synthetic
    for name, opened in (("default", explorer), ("large", larger)):
        draw = np.random.default_rng(0)
        shown_pages = [
            LatentPage(opened, lab.n_latents, latent)
            for latent in draw.integers(lab.n_latents, size=count + 1).tolist()
        ]
        times = [seconds(partial(page, shown, text)) for shown in shown_pages][1:]
        values[f"page_{name}_p50_ms"] = 1e3 * statistics.median(times)
        values[f"page_{name}_p95_ms"] = 1e3 * float(np.quantile(times, 0.95))
    typed = "She flew from Tokyo to Paris"

    def typing() -> None:
        explorer.find(str(lab.n_latents), "tokyo")
        explorer.firing_on(lab.n_latents, typed)

    def reading() -> None:
        lab.model.residual(torch.tensor([lab.model.typed_tokens(typed)]))

    values["search_first_ms"] = 1e3 * seconds(typing)
    for name, work in (("search_ms", typing), ("search_model_ms", reading)):
        values[name] = 1e3 * statistics.median(seconds(work) for _ in range(9))

    def drawing() -> None:
        graph.positions(graph.around(lab.decomposition, [1, 2], 1))

    values["graph_ms"] = 1e3 * seconds(drawing)
    values["graph_later_ms"] = 1e3 * statistics.median(seconds(drawing) for _ in range(9))
    drawn = graph.around(lab.decomposition, [1, 2], 1)
    values |= {"graph_nodes": len(drawn), "graph_edges": drawn.number_of_edges()}
    values["projected_s"] = seconds(lambda: graph.projected(lab.decomposition, 0.1).statistics())
    return values


def collecting(tokens: int) -> dict[str, float]:
    """Tokens a second of the evidence of all widths, and of the bare forward pass."""
    lab = open_lab(progress=to_stream())
    explorer = open_explorer(lab)
    text = explorer.text(progress=to_stream())
    assert text is not None
    saes = {width: explorer.decomposition(width).sae for width in explorer.widths}
    batches, count, chosen = length_batches(text), 0, []
    for index in batches:
        chosen.append(index)
        count += int(text.lengths[torch.from_numpy(index)].sum()) - len(index)
        if count >= tokens:
            break
    dtype = fast_dtype()
    whole, head = base_model_copy(lab.model, dtype), lab.model.hf.lm_head.weight.to(dtype)

    def bare() -> None:
        with torch.inference_mode():
            for index in chosen:
                which = torch.from_numpy(index)
                ids = text.tokens[which, : int(text.lengths[which].max())].long()
                hidden = whole(ids, use_cache=False).last_hidden_state
                for row in hidden:
                    row @ head.T

    took_bare = seconds(bare)
    took = seconds(lambda: gathering.collect(lab.model, text, saes, lab.median_norm, count))
    return {
        "evidence_tokens_per_s": count / took,
        "forward_tokens_per_s": count / took_bare,
        "ratio_evidence": took_bare / took,
        "tokens": count,
        "widths": len(saes),
    }


def main() -> None:
    """Print the figures."""
    arguments = parser(__doc__).parse_args()
    values = pages(5 if arguments.quick else 40)
    values |= collecting(8_000 if arguments.quick else 80_000)
    values |= {"threads": torch.get_num_threads()}
    print_figures(values, arguments.json)


if __name__ == "__main__":
    main()
