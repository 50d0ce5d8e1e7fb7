"""Contract suites: a store of your own keeps its contract when these tests pass on it.

class TestMyTables(TableStoreContract):
    @pytest.fixture
    def tables(self, tmp_path):
        return MyTables(tmp_path)
"""
