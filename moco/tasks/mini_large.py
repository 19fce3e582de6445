"""The bundled task `mini` with 2,000 test items, made when they are asked for."""

import dataclasses

from moco.tasks import mini

TASK = dataclasses.replace(mini.TASK, name="mini_large", title="mini-large", part="large")
