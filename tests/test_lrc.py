from socialsongs.lrc import parse, start_of

TEXT = "[ar:Somebody]\n[00:01.50]One\n[00:10.00][01:02.5]Again\nno stamp\n[2:03]Three\n"


def test_it_reads_stamps_in_order_of_time():
    assert parse(TEXT) == [(1500, "One"), (10000, "Again"), (62500, "Again"), (123000, "Three")]


def test_it_finds_when_a_line_is_sung():
    assert start_of(TEXT, "again ") == 10000
    assert start_of(TEXT, "Again", occurrence=1) == 62500
    assert start_of(TEXT, "Again", occurrence=7) == 62500
    assert start_of(TEXT, "Never") is None
