// Loaded by tap into each test process (.taprc): the programs that a test starts run as they are. For coverage, which is off
// here, tap has every Node process below a test import a loader of its own: 0.1 s and 0.3 core-seconds a process.
import processOnSpawn from 'process-on-spawn';

processOnSpawn.removeAllListeners();
delete process.env['NODE_OPTIONS'];
