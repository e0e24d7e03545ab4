pytest_plugins = [
    "tests.support.services",
    "tests.support.api",
    "tests.support.stack",
    "tests.support.command",
    "tests.support.processes",
]
