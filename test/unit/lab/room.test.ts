import t from 'tap';
import { requireFiles, requireRoom } from '../../../lab/room.js';

t.test('too little memory is said with the directory and both figures', async (t) => {
  requireRoom('/', [8], { wholeLab: true });
  // Beyond 4 GiB a guest takes what it uses.
  requireRoom('/', new Array(4).fill(65_536), { wholeLab: true });
  t.throws(() => requireRoom('/', new Array(100_000).fill(1000), { wholeLab: true }), {
    name: 'UserError',
    message: /^\/ needs 100500024 MiB for 100000 guests and has \d+ MiB free: give guests less memory, or name another/,
  });
});

t.test('too few open files are said with the command that raises them', async (t) => {
  const limits = (files: string): string =>
    `Limit  Soft Limit  Hard Limit  Units\nMax open files            ${files}   4096   files\n`;
  requireFiles(48, limits('1024'));
  requireFiles(48, limits('unlimited'));
  t.throws(() => requireFiles(48, limits('128')), {
    name: 'UserError',
    message: 'a process may open 128 files here, and 256 are needed for 48 guests: raise it with ulimit -n 256',
  });
});
