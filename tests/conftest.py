from hypothesis import settings

pytest_plugins = [
    "tests.support.services",
    "tests.support.api",
    "tests.support.stack",
    "tests.support.browser",
    "tests.support.visitor",
    "tests.support.command",
    "tests.support.processes",
    "tests.support.project",
]

# Time is measured in benchmarks: a busy machine must fail no test.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
