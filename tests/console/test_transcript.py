"""The README's transcript is what the command says at the stage, and nothing in it is secret."""

import json

from tests.console.transcript import carry_out, compared, part, staged


def test_the_readme_shows_what_the_command_says() -> None:
    """Run anew, the commands say the same, but for times and identifiers."""
    with staged() as (stage, variables):
        stage.set_up()
        told = carry_out(variables)
        passwords = {
            json.loads(version.value.string).get("password", "")
            for name in stage.service._operations.secrets
            for version in stage.service.versions(name)
            if version.value is not None and version.value.string
        }
    assert compared(told) == compared(part().read())
    assert len(passwords) > 10
    assert not [each for each in passwords if each and each in told]


def test_what_varies_is_taken_out_and_nothing_else() -> None:
    """Times, versions and widths of columns; names, states and counts are compared."""
    line = "app  well  10 s ago  2f0c1d9e-0000-4000-8000-00000000abcd  12 ms"
    assert compared(line) == "app  well  <time> ago  <version>  <time>"
    assert compared("3 secrets: 1 stuck, 2 well.") == "3 secrets: 1 stuck, 2 well."
