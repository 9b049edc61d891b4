// The page of `xenwire chaos --dashboard`: a process that is told of the campaign, line by line. Leaves the page to dashboard/, and what
// a campaign is for a page to chaos/report/campaign-view.ts.
import type { CampaignHead, PageCase } from '../../chaos/report/campaign-view.js';
import type { JudgedCase } from '../../chaos/results.js';
import { PageProcess } from '../../lab/page-process.js';

/** Rejects with a UserError when it cannot serve. */
export async function openPage(port: number, runDir: string, head: CampaignHead): Promise<PageProcess> {
  const page = new PageProcess(runDir, port, { campaign: true });
  page.tell({ ...head, earlier: head.earlier.map(withoutExhibit) } satisfies CampaignHead);
  process.stderr.write(`the live page: ${await page.url}\n`);
  return page;
}

export function withoutExhibit({ exhibit: _, ...rest }: JudgedCase): PageCase {
  return rest;
}
