"""The simulated EC2 if it cannot start."""

import subprocess
import sys

SERVER = "occopus_resource_ec2.testing.server"
WITHOUT_MOTO = f"import runpy, sys; sys.modules['moto'] = None; runpy.run_module('{SERVER}', run_name='__main__')"


def test_without_moto_it_says_what_to_install():
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_MOTO], capture_output=True, text=True, timeout=600, check=False
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith("error: No module named 'moto")
    assert line.endswith(": pip install './plugins/resource/ec2[testing]' in a checkout of Occopus")
