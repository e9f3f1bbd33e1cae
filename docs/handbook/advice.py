"""What to do about the sentences that say only what is the case."""

_SPACE = "Choose a place you can write to, and see that the disk isn't full."
_PRESET = "Look the key up in [your own model](howto/own-model.md#the-keys-of-a-preset)."
_TEXT = "Open a preset with a model, which the study needs."

ADVICE = {
    "--whole counts a graph, and figures are written as JSON only.": (
        "Give `--format json`, or a file that ends in `.json`."
    ),
    'These labels are about an SAE of "*kind*" latents; none is here.': (
        "Open the preset they were made with, or choose another file."
    ),
    "*name* gives a residual stream that is not finite or zero before layer *hook layer*; its "
    "weights are damaged.": (
        "Delete the model's folder in the cache so that it is fetched again, or write your own "
        "folder anew."
    ),
    "The SAE in *source* has *width* latents of width *so many*, but the preset *opened* needs "
    "*width* of width *d model*.": (
        "Name the SAEs that were trained on the preset's model, and give their numbers of latents "
        "as `widths`."
    ),
    "The text has *tokens* tokens; *name* is run on *most* at most.": "Give a shorter text.",
    '*path* is not as RAVEL writes it: at the key "*key*", *what*.': (
        "Take RAVEL's files as they are published, or bring your own into their form "
        "([your own attribute](howto/own-attribute.md))."
    ),
    "The target's own residual stands at its last token alone.": (
        "Ask with `--set where=last`, or leave the methods out that exchange the residual itself."
    ),
    'Edits are made at "last" or "all" tokens, not "*where*".': "Write one of the two.",
    "The model knows *attributes* alone of *name*, and whether an edit leaves others as they are "
    "takes at least two attributes.": (
        "Open a larger model, or give data about more attributes that this one knows."
    ),
    'The mask "*name*" takes none of the pieces in which these two differ, so it changes nothing '
    "here.": "Choose another pair, or the mask of another attribute.",
    'There is no mask "*text*", nor such a file; saved are: *one*.': (
        "Name one of those, or learn some with `ravel --save-masks`."
    ),
    'There is no mask "*text*", nor such a file; saved are: none.': (
        "Learn some with `ravel --save-masks`, or give the file of one."
    ),
    "None of the text is held out, so there is nothing to measure an SAE on.": (
        "Nothing is wrong with what you typed: the preset's text has no held-out part. Open "
        "another preset."
    ),
    "*path* is no SAE: it holds neither *weights* (SAELens) nor *checkpoint* (the authors' "
    "checkpoint).": (
        "Choose the folder that holds the weights, or see "
        "[which files are read](howto/own-sae.md#what-is-read)."
    ),
    "The SAE in *folder* lacks the weights *missing*.": (
        "Fetch or write the folder again; it was saved in part, or by another program."
    ),
    "The SAE in *folder* says it has *d sae* latents of width *so many*, but its *name* is "
    "*shape*.": "Fetch or write the folder again: configuration and weights are of two SAEs.",
    "*path* has no ending that says how to write it: *formats*.": "End its name in one of those.",
    "All pairs need at least two cities.": "Name another one.",
    "This is not a search that the workbench wrote.": (
        "Choose the file that `search --out` or the page Enumerate wrote, unchanged."
    ),
    "No latent of the *width*-wide SAE stands for *name*.": "Choose another name or another width.",
    "*target* could not be written (*why*); nothing was changed there.": _SPACE,
    "*parent* can't be written (*why*).": _SPACE,
    "*folder* can't be deleted (*why*).": "Close what has it open, or delete it by hand.",
    "The preset *path* can't be read (*why*).": "Check its path and who may read it.",
    "The preset can't be read (*why*).": _PRESET,
    "The preset's *key* can't be *values*; *wanted*.": _PRESET,
    'The link is damaged: "*value*" can\'t be read as its "*name*"; the default is shown '
    "instead.": ("Copy it again, the whole of it; a mail program may have cut or changed it."),
    "*file* can't be read as UTF-8 text.": "Save it as UTF-8, or leave it out.",
    "The run *identity* is under way already.": (
        "Wait for it, or stop the other process; what it did so far is kept."
    ),
    'SAELens knows no release "*release*"; its documentation lists them, for example '
    "gpt2-small-res-jb-feature-splitting.": "Take the release's name from SAELens's list.",
    'The release *release* has no "*sae id*"; it has *some* and others.': "Take one it has.",
    "The preset's opened\\_width *opened* is none of its widths.": _PRESET,
    'A meta-latent edit is *variants*, not "*variant*".': "Write one of those.",
    'An edit is made at "last" or "all" positions, not "*position*".': "Write one of the two.",
    "This is not an edit that the workbench wrote.": (
        "Load a JSON file that was downloaded from the page Steer, unchanged."
    ),
    "This is a latent swap, where an edit of meta-latents is wanted.": (
        "Give a `MetaLatentEdit`; a swap has no strengths of single meta-latents."
    ),
    'An edit is of the kind *kinds*, not "*kind*".': "Write one of those.",
    "None of the text is held out, so there is nothing to read.": (
        "Give more windows, or open a preset whose text has a held-out part."
    ),
    "None of the text is for training, so there is nothing to read.": (
        "Give more windows, or open a preset whose text is not all held out."
    ),
    "No two latents share a meta-latent, so there is no graph to compare.": (
        "Open an SAE or a meta-SAE with more latents."
    ),
    "None of the text is held out, so there is nothing to measure on.": (
        "Give more windows, or open a preset whose text has a held-out part."
    ),
    "This study needs a meta-SAE of all widths, and none can be trained.": (
        "Open a preset of several widths."
    ),
    "This study reads text, and there is no model to read it with.": _TEXT,
    "This study asks about cities, and there is no model to ask.": _TEXT,
    'There is no city "*quoted*" in the table of *by key* cities, and none is spelt like it.': (
        "`python -m metasae cities` lists the table."
    ),
    "A name has letters, digits, - and \\_, and begins with a letter or digit.": (
        "Choose such a name."
    ),
    "*name* was cancelled.": "Nothing: somebody asked for that. Begin it again when you want to.",
    'The link is damaged: its "*name*" has *value* characters, more than 600; the default is shown '
    "instead.": "Shorten what it carries; a mail program may also have changed it.",
    "*name* did not succeed; the terminal shows the details.": (
        "Look at the terminal in which the workbench was started. It is a fault of ours: please "
        "report what stands there."
    ),
    "*said* Who runs this server can raise *variable*.": (
        "Try again when others have left, or ask the host ([limits](classroom.md#limits))."
    ),
    "*path* can't be read (*why*).": "Check the path, and who may read it.",
    "The preset of *repo* names folders on somebody's machine; a shared one names "
    "what is on the hub.": (
        "Ask who shared it to write `RELEASE:ID` and `REPO@COMMIT` in place of folders."
    ),
    "*out* has none of the endings *endings*.": "End its name in one of those.",
    "This edit changes nothing in its own prompts, so there is no vector to export.": (
        "Change a meta-latent that the source has, or export the directions instead."
    ),
    "*name* does not take that; --to can be *takers*.": "Write one of those after `--to`.",
    "This preset has no smaller SAE of the same hook to compare with.": (
        "Open a preset of several widths."
    ),
    "The server ended with code *code*; what it said stands above.": (
        "Read what stands above it; a port that is taken is the commonest reason."
    ),
    "*path*: *why*": "See what stands behind the colon.",
    "*folder* holds no explanations.": "Choose the folder delphi wrote its explanations to.",
    "The *kind* scores of latent *latent* in *folder* are not as delphi writes them.": (
        "Score again with delphi, or leave that latent out."
    ),
    "None of the *width* latents has a label that holds.": (
        "Collect labels from more text with `describe`, or choose another width."
    ),
    "No row of the text is full, and delphi knows no others.": "Give more text.",
    "*home* holds no activations that delphi saved with their tokens, or damaged ones.": (
        "Save them again, tokens included."
    ),
    "*folder* holds no scores of *kinds*.": (
        "Score with delphi first, or choose the folder it wrote scores to."
    ),
    "*path* is damaged; it holds no JSON.": "Fetch or write it again.",
    "The tokens in *folder* are another model's than *name*'s.": (
        "Open the model they were saved with."
    ),
    "*folder* holds no explanation of latent *missing*.": (
        "Explain that latent too, or leave it out."
    ),
    "The explanation of latent *odd* in *folder* is no text.": "Write it again as a text.",
    "A list's name has 60 characters at most.": "Choose a shorter one.",
}
"""Sentence, as `docs.handbook.sentences` writes it → what to do, as Markdown."""
