"""What pyproject.toml can't say: the pages lie beside the app, and in a wheel inside it."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["metasae*", "workbench*"]), "workbench._pages"],
    package_dir={"workbench._pages": "pages"},
)
