// A guest's monitor as a process of its own, started by `xenwire create` and left behind, as xl leaves its. What it is to
// do comes as the first message from create; to create goes what happens to the guest, as long as create listens.
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { type MonitorJob, monitor } from '../lab/monitor.js';
import { PeerDiedError } from '../lib/core/errors.js';

/** What create is told: first that the job has come, then `failed` when the guest's process ended that should not have. */
export type MonitorNews = { readonly taken: true } | { readonly failed: string };

process.once('message', (job: MonitorJob) => {
  process.send?.({ taken: true } satisfies MonitorNews);
  void run(job);
});
process.on('disconnect', () => {}); // create has ended; we go on

async function run(job: MonitorJob): Promise<void> {
  const path = join(job.runDir, 'logs', `monitor-${job.config.name}.log`);
  const log = (sentence: string): void => appendFileSync(path, `${new Date().toISOString()} ${sentence}\n`);
  try {
    await monitor(job, {
      say: log,
      failed: (sentence) => {
        log(sentence);
        if (process.connected) process.send?.({ failed: sentence } satisfies MonitorNews);
      },
    });
  } catch (error) {
    if (!(error instanceof PeerDiedError)) {
      log(error instanceof Error ? (error.stack ?? error.message) : String(error));
      process.exitCode = 1;
    }
  }
  if (process.connected) process.disconnect();
}
