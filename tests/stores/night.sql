-- A night as it never was: two campaigns and the start of a third, failures of every kind, text that tries to be
-- markup, bytes that are no text.
INSERT INTO campaign VALUES
 (1, '17', '--budget=8h', '0.1.0', 'old', 'cpu', 'aaa1111', 0, 1, 1795500000, 1795500900, 900, 0),
 (2, '18446744073709551615', '--budget=8h --corpus=found.cases', '0.1.0', 'host<1>&"x"', 'cpu', 'bbb2222', 0, 1,
  1795586400, 1795590000, 3600.5, 2);
INSERT INTO case_ VALUES
 (1, 0, 'corpus', 'T=9 H=8 I=8 E=4 K=2 dtype=bf16 seed=1'),
 (2, 0, 'corpus', 'T=9 H=8 I=8 E=4 K=2 dtype=bf16 seed=1'),
 (2, 1, 'array', 'T=64 H=64 I=32 E=8 K=2 dtype=f32 act=geglu seed=2'),
 (2, 2, 'random', 'T=33 H=17 I=16 E=3 K=1 dtype=f16 act=relu2 router=lists seed=3'),
 (2, 3, 'random', 'T=1 H=1 I=1 E=1 K=1 dtype=f64 act=silu weight=input seed=4'),
 (2, 4, 'ledger', 'T=0 H=8 I=8 E=4 K=2 dtype=bf16 seed=5'),
 (2, 5, 'random', '<script>alert(5)</script> no case'),
 (2, 6, 'random', 'T=65 H=8 I=8 E=4 K=2 dtype=bf16 seed=7');
INSERT INTO result VALUES
 (1, 0, 'naive', 'cpu', 'PASS', '0.1.0', 1795500001, .1, .2, .5, 3, 0, 'old:0'),
 (2, 0, 'naive', 'cpu', 'PASS', '0.1.0', 1795586401, .001, .02, .25, 19, 0, 'h:0'),
 (2, 1, 'naive', 'cpu', 'PASS', '0.1.0', 1795586402, .002, .02, 0, 3, 0, 'h:0'),
 (2, 2, 'naive', 'cpu', 'SKIP', '0.1.0', 1795586402, 0, 0, NULL, 0, 1, 'h:0'),
 (2, 3, 'naive', 'cpu', 'ERROR', '0.1.0', 1795586402, .1, .1, NULL, 3, 1, 'h:0'),
 (2, 4, 'naive', 'cpu', 'KNOWN', '0.1.0', 1795586402, .1, .1, 7, 3, 1, 'h:0'),
 (2, 0, 'mine</td>&"''', 'cpu', 'FAIL', '0.1.0', 1795586403, .1, .1, 1e6, 19, 3, 'h:1'),
 (2, 1, 'mine</td>&"''', 'cpu', 'FAIL', '0.1.0', 1795586404, .1, .1, 9e999, 3, 1, 'h:1'),
 (2, 2, 'mine</td>&"''', 'cpu', 'PASS', '0.1.0', 1795586405, .1, .1, .99, 3, 0, 'h:1'),
 (2, 6, 'crashing', 'cpu', 'FAIL', '0.1.0', 1795586406, .1, .1, NULL, 0, 1, 'h:1'),
 (2, 5, 'crashing', 'cpu', 'PASS', '0.1.0', 1795586406, .1, .1, .5, 3, 0, 'h:1');
INSERT INTO finding VALUES
 (2, 2, 'naive', 0, 'takes', 'SKIP', NULL, 'not with f16', '', '', -1, -1, -1, -1, -1, '0x0p+0', '0x0p+0', '0x0p+0'),
 (2, 3, 'naive', 0, 'bound', 'ERROR', 'o', 'o: the bound of 1 elements is unknown', '', '', -1, -1, -1, -1, -1, NULL, NULL, NULL),
 (2, 4, 'naive', 0, 'bound', 'FAIL', 'dx', 'dx: 1 of 8 elements beyond their bound', 'element', 'row 0; column 1', 0, 1, -1, 0, -1,
  '0x1p+0', '0x0p+0', '0x1p-10'),
 (2, 0, 'mine</td>&"''', 0, 'inputs', 'PASS', NULL, 'a note', '', '', -1, -1, -1, -1, -1, NULL, NULL, NULL),
 (2, 0, 'mine</td>&"''', 1, 'bound', 'FAIL', 'dw1', 'dw1: 32 of 512 elements beyond their bound', 'columns-last',
  'all 64 rows; the last 3 of 8 columns', 5, 7, 1, -1, -1, '0x1.38p+13', '-0x1.082493e453376p-3', '0x1.281af35a7cb17p-7'),
 (2, 0, 'mine</td>&"''', 2, 'exact', 'FAIL', 'o', 'o: </script><script>alert("1")</script> ' || char(1, 27, 8238, 65535) ||
  CAST(x'C328FFC0AFEDA080F4908080E282' AS TEXT), '', '',
  0, 0, -1, 0, -1, 'nan', 'inf', '0x0p+0'),
 (2, 1, 'mine</td>&"''', 0, 'bound', 'FAIL', 'dw1', 'dw1: all', 'everything', 'all', 0, 0, 0, -1, -1, 'nan', '0x1p+1', '0x1p-7'),
 (2, 6, 'crashing', 0, 'isolation', 'FAIL', NULL, 'the variant died of signal 11 (SIGSEGV) in forward', '', '', -1, -1, -1, -1, -1,
  NULL, NULL, NULL);
INSERT INTO picture VALUES
 (2, 0, 'mine</td>&"''', 1, 4, 8, x'0000000000FFFFFF000000000080FF01000000000000FFFF0000000000FFFFFF'),
 (2, 1, 'mine</td>&"''', 0, 400, 800, x'00');
INSERT INTO ratio VALUES
 (2, 0, 'naive', 'o', .25), (2, 1, 'naive', 'o', 0), (2, 0, 'naive', 'dw1', 1e-9), (2, 1, 'naive', 'dw1', .7),
 (2, 0, 'mine</td>&"''', 'o', .99), (2, 0, 'mine</td>&"''', 'dw1', 1e6), (2, 1, 'mine</td>&"''', 'dw1', 9e999),
 (2, 2, 'mine</td>&"''', 'o', NULL), (2, 2, 'mine</td>&"''', '<b>&', 1);
INSERT INTO failure VALUES
 (2, 'bound of dw1, columns-last; bf16, gated, router', 'mine</td>&"''', 1, 0, 'T=1 H=1 I=1 E=1 K=1 dtype=bf16 seed=1',
  'moecheck verify --variant ''mine</td>&"'' --check bound ''T=1 H=1 I=1 E=1 K=1 dtype=bf16 seed=1''', 3, 3, 1),
 (2, 'bound of dw1, everything; f32, gated, router', 'mine</td>&"''', 1, 1, NULL, 'moecheck verify again', 0, 3, NULL);
INSERT INTO timing(at, version, commit_id, host, device, driver, suite, line, variant, part, median, low, high, runs, ceiling) VALUES
 (1795400000, 'v', 'aaa1111', 'h', 'H200', '570', 'hopper', 'T=4096 H=2048', 'hopper', 'forward', 1.00e-3, .99e-3, 1.01e-3, 20, .80),
 (1795500000, 'v', 'aaa1111', 'h', 'H200', '570', 'hopper', 'T=4096 H=2048', 'hopper', 'forward', 1.01e-3, 1.00e-3, 1.02e-3, 20, .79),
 (1795586400, 'v', 'bbb2222', 'h', 'H200', '570', 'hopper', 'T=4096 H=2048', 'hopper', 'forward', 1.20e-3, 1.18e-3, 1.21e-3, 20, .66),
 (1795500000, 'v', 'aaa1111', 'h', 'H200', '570', 'hopper', 'T=4096 H=2048', 'hopper', 'backward', 2e-3, 1e-3, 3e-3, 20, NULL),
 (1795586400, 'v', 'bbb2222', 'h', 'H200', '570', 'hopper', 'T=4096 H=2048', 'hopper', 'backward', 2.9e-3, 1.9e-3, 3.3e-3, 20, NULL),
 (1795586400, 'v', NULL, NULL, NULL, NULL, NULL, '<i>line</i>', 'cublas', 'forward', 0, 0, 0, 1, NULL);
INSERT INTO floor_(at, version, name, value, low, high, unit) VALUES
 (1795500000, 'v', 'one element off', 4.0, 3.5, 4.5, 'ulp'),
 (1795586400, 'v', 'one element off', 3.0, 2.5, 3.5, 'ulp'),
 (1795586400, 'v', 'bias <forgotten>', NULL, NULL, NULL, NULL);
