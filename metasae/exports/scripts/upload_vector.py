"""Upload the vector beside this file to Neuronpedia.

Run: NEURONPEDIA_API_KEY=… python upload_vector.py

Needs Neuronpedia's own package: pip install neuronpedia
"""

import json
from pathlib import Path


def main() -> None:
    """Upload it and say where it is found."""
    from neuronpedia.np_vector import NPVector

    values = json.loads((Path(__file__).parent / "vector.json").read_text("utf-8"))
    print(NPVector.new(**values).url)


if __name__ == "__main__":
    main()
