// The page as a process: serves a lab, or a campaign, until it is told to end. Says where on standard output, in one line.
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { requireLab } from '../lab/running.js';
import { historyFiles } from '../lib/node/files/history-reader.js';
import { type CampaignData, CampaignPage } from './campaign.js';
import { LivePage } from './live.js';
import { servePage } from './server.js';
import type { PageSource } from './source.js';

/** A campaign as it is told, line by line. */
export interface CampaignFeed extends CampaignData {
  takeLine(line: string): void;
}

export interface PageSettings {
  readonly runDir: string;
  /** 0: any that is free. */
  readonly port: number;
  /** Ends when its standard input does: for the page of `xenwire up`, whose end is its own. */
  readonly supervised: boolean;
  /** For the page of `xenwire chaos`: makes the campaign of the first line of the standard input, which goes on telling of it. */
  readonly campaign?: (head: string) => CampaignFeed;
}

/** Throws UserError where there is nothing to show. Resolves once it was asked to end and has. */
export async function runPage(settings: PageSettings): Promise<void> {
  const { runDir, port, supervised, campaign } = settings;
  let end: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  let source: PageSource;
  if (campaign !== undefined) {
    const fed = await campaignOf(campaign, end);
    if (fed === undefined) return;
    source = new CampaignPage(fed, runDir);
  } else {
    // The page of `up` begins with the lab, before there is a history.
    if (!supervised && (!existsSync(runDir) || historyFiles(runDir).length === 0)) requireLab(runDir);
    if (supervised) process.stdin.on('end', end).resume();
    source = new LivePage(runDir);
  }
  const server = await servePage(source, port);
  process.stdout.write(`${server.url}\n`);
  await ended;
  await server.close();
  await source.close();
}

/** Resolves with what the first line is of; undefined: the standard input ended before. */
function campaignOf(make: (head: string) => CampaignFeed, end: () => void): Promise<CampaignFeed | undefined> {
  return new Promise((resolve) => {
    let feed: CampaignFeed | undefined;
    createInterface({ input: process.stdin })
      .on('line', (line) => {
        if (feed !== undefined) return feed.takeLine(line);
        feed = make(line);
        resolve(feed);
      })
      .on('close', () => {
        resolve(feed);
        end();
      });
  });
}
