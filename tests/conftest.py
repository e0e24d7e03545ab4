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
