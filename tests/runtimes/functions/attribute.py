"""A module that fails to load with an AttributeError, which the runtime also has for a missing handler."""

import os

os.no_such_name
