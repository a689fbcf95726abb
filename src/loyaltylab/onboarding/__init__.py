"""From exports to a dataset: files in, a folder with raw/ and dataset.yml out, whole or not at all."""

from loyaltylab.onboarding.dataset import Begun, begin

__all__ = ["Begun", "begin"]
