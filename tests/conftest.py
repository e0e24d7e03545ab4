pytest_plugins = ["tests.support.services", "tests.support.api", "tests.support.stack"]
