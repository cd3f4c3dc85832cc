"""Makes a release of what `make build` has built: ``python -m local.release``, or `make release`.

========================  =======================================================================
``template.json``         plain CloudFormation, without SAM's transformation: StackSets, Service
                          Catalog and change boards take it
``<digest>/<processor>``  the code, as archives that lie in a bucket of one's own under any prefix
``bom.json``              CycloneDX, of the packages in the archives, by cyclonedx-bom
``SHA256SUMS``            of all the others: ``sha256sum --check SHA256SUMS``
========================  =======================================================================

The same commit gives the same bytes: archives hold their files in order, with one time and without
compression, whose output differs between versions of zlib.
The digest is of all the code, so that a stack that is updated sees that its code has changed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final
from unittest.mock import patch

from samtranslator.translator.transform import transform

from local.build import ARCHITECTURES, BUILD
from local.template import ROOT, Template, load

FOLDER: Final = BUILD / "release"
CYCLONEDX: Final = ROOT / ".venv-release" / "bin" / "cyclonedx-py"
LOCKS: Final = ("shared/requirements.txt", "rotators/*/requirements.txt")
MEASURED: Final[Mapping[str, Sequence[str]]] = {
    "make test-matrix": (sys.executable, "-m", "tests.kit.failure_modes", "--require-fresh"),
    "make histories": (sys.executable, "-m", "tests.histories", "--require-fresh"),
}
"""What measures anew, to the command that fails where the last measure is of other code."""
CODE: Final[Mapping[str, str]] = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
}
LEFT_OUT: Final = frozenset({"__pycache__", "INSTALLER", "REQUESTED", "RECORD", "direct_url.json"})
"""What an installer writes for itself; it need not be the same twice."""
FIRST_TIME: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest that an archive can hold."""
PARAMETERS: Final[Mapping[str, Mapping[str, str]]] = {
    "CodeBucket": {
        "Type": "String",
        "AllowedPattern": "^[a-z0-9.-]{3,63}$",
        "Description": "The bucket, in the stack's Region, that holds the code of this release.",
    },
    "CodePrefix": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": "^([^/].*/)?$",
        "ConstraintDescription": "nothing, or a prefix that ends in a slash and begins with none",
        "Description": "What comes before the release's own paths in the bucket.",
    },
    "CodeSigningConfigArn": {
        "Type": "String",
        "Default": "",
        "AllowedPattern": "^(arn:aws[a-z-]*:lambda:.+:code-signing-config:.+)?$",
        "ConstraintDescription": "the ARN of a code signing configuration, or nothing",
        "Description": "Lambda then takes only archives that one of its profiles has signed.",
    },
}
"""What the release's template has besides those of template.yaml."""


class NotReleased(Exception):
    """There is no release, and the message says what to do first."""


class _NoManagedPolicies:
    """The template names no managed policy, so SAM has nothing to look up."""

    def load(self) -> dict[str, str]:
        """Return no policies."""
        return {}


def transformed(template: Template) -> Template:
    """Return what SAM makes of a template: CloudFormation without SAM's own types."""
    # SAM asks for a Region, although it talks to nobody.
    with patch.dict(os.environ, {"AWS_DEFAULT_REGION": "eu-central-1"}):
        made: Template = transform(template, {}, _NoManagedPolicies())
    return made


def parts(template: Template) -> list[str]:
    """Return the logical ids of what has code."""
    return [name for name, one in template["Resources"].items() if one["Type"] in CODE]


def archive(folder: Path, path: Path) -> None:
    """Write what was built into a folder, the same bytes for the same files.

    Args:
        folder: A function's or a layer's.
        path: The archive; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as written:
        for file in sorted(_files(folder)):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), FIRST_TIME)
            entry.external_attr = (0o100755 if os.access(file, os.X_OK) else 0o100644) << 16
            entry.create_system = 3  # Unix, on whatever machine it is made
            written.writestr(entry, file.read_bytes())


def _files(folder: Path) -> Iterable[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not LEFT_OUT & set(path.relative_to(folder).parts):
            yield path


def digest(paths: Iterable[Path]) -> str:
    """Return twelve digits that stand for the contents of files, in their order."""
    each = (sha256(path.read_bytes()).digest() for path in paths)
    return sha256(b"".join(each)).hexdigest()[:12]


def plain(template: Template, code: str) -> Template:
    """Return the template as CloudFormation itself takes it.

    Args:
        template: SAM's; not changed.
        code: The digest, which is the first folder of the code's place.
    """
    template = json.loads(json.dumps(template))
    template["Parameters"] |= PARAMETERS
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    groups.insert(0, {"Label": {"default": "Code"}, "Parameters": list(PARAMETERS)})
    template["Conditions"]["ChecksSignatures"] = {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "CodeSigningConfigArn"}, ""]}]
    }
    for name in parts(template):
        resource = template["Resources"][name]
        key = {"Fn::Sub": f"${{CodePrefix}}{code}/${{Architecture}}/{name}.zip"}
        place = {"Bucket": {"Ref": "CodeBucket"}, "Key": key}
        resource["Properties"][CODE[resource["Type"]]] = place
        resource.get("Metadata", {}).pop("BuildMethod", None)
    made = transformed(template)
    for resource in made["Resources"].values():
        if resource["Type"] == "AWS::Lambda::Function":
            signing = [{"Ref": "CodeSigningConfigArn"}, {"Ref": "AWS::NoValue"}]
            resource["Properties"]["CodeSigningConfigArn"] = {
                "Fn::If": ["ChecksSignatures", *signing]
            }
    return made


def locked(built: Path) -> str:
    """Return the locks' entries of the packages that were built into a folder."""
    packages = {
        re.sub(r"[-_.]+", "-", path.name.partition("-")[0]).lower()
        for path in built.rglob("*.dist-info")
    }
    entries: dict[str, str] = {}
    for pattern in LOCKS:
        for lock in sorted(ROOT.glob(pattern)):
            text = re.sub(r"^ *#.*\n", "", lock.read_text(), flags=re.MULTILINE)
            for entry in re.findall(r"^\S.*\n(?:\s+--hash.*\n?)*", text, re.MULTILINE):
                entries[re.split(r"[=\[ ]", entry, maxsplit=1)[0]] = entry
    if missing := packages - entries.keys():
        raise NotReleased(f"Built, but in no lock: {', '.join(sorted(missing))}. Try: make lock")
    # A marker says where a package is wanted; what is here was wanted.
    return "".join(re.sub(r" ;[^\\]*", " ", entries[name]) for name in sorted(packages))


def bill_of_materials(built: Path, path: Path) -> None:
    """Write the bill of materials of what was built."""
    subprocess.run(
        [
            # That it knows no dependencies among the packages is all that it warns of.
            *(
                CYCLONEDX.with_name("python"),
                "-W",
                "ignore",
                CYCLONEDX,
                "requirements",
                "--output-reproducible",
                "--output-format",
                "JSON",
            ),
            *("--pyproject", ROOT / "pyproject.toml", "--output-file", path, "-"),
        ],
        input=locked(built),
        text=True,
        check=True,
    )


def release(built: Path = BUILD, folder: Path = FOLDER) -> Path:
    """Write a release of what was built, in place of what was in the folder, and return it.

    Args:
        built: Has one folder for each processor, as `local.build` makes them.
        folder: Where the release goes.

    Raises:
        NotReleased: A package is in no lock.
    """
    shutil.rmtree(folder, ignore_errors=True)
    template = load()
    code = folder / "code"
    for architecture in ARCHITECTURES:
        for name in parts(template):
            archive(built / architecture / name, code / architecture / f"{name}.zip")
    marked = digest(sorted(code.rglob("*.zip")))
    code.rename(folder / marked)
    text = json.dumps(plain(template, marked), indent=2) + "\n"
    (folder / "template.json").write_text(text)
    bill_of_materials(built / ARCHITECTURES[0], folder / "bom.json")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    (folder / "SHA256SUMS").write_text(
        "".join(
            f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
            for path in files
        )
    )
    return folder


def require_ready(measured: Mapping[str, Sequence[str]] = MEASURED, folder: Path = ROOT) -> None:
    """Say whether this commit may be released.

    Args:
        measured: What measures a promise, to the command that fails where that was other code.
        folder: The repository.

    Raises:
        NotReleased: A file differs from the commit, or a promise was measured on other code.
    """
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    if changed:
        raise NotReleased(f"A release is of a commit. Commit or remove first:\n{changed}")
    for measure, fresh in measured.items():
        if subprocess.run(fresh, cwd=folder, check=False).returncode:
            raise NotReleased(f"A promise was measured on other code. Measure it anew: {measure}")


def main() -> int:
    """Release, and return the exit status."""
    try:
        require_ready()
        folder = release()
    except NotReleased as error:
        sys.stderr.write(f"{error}\n")
        return 1
    print((folder / "SHA256SUMS").read_text() + f"Release: {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
