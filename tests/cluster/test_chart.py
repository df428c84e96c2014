"""The chart, and the plain manifest that is made of it."""
import subprocess
import unittest

import lab


class Chart(unittest.TestCase):
    def test_the_plain_manifest_and_the_crds_are_what_the_chart_gives(self):
        done = subprocess.run([str(lab.ROOT / "deploy/install/generate"), "--check"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_helm_lint_finds_nothing(self):
        done = subprocess.run([lab.CLUSTER, "helm", "lint", "--strict", str(lab.ROOT / "charts/understudy")], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("0 chart(s) failed", done.stdout)
