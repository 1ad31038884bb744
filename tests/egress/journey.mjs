// The main job at a server that is already there. Reads what to do from RENDERKEEP_JOURNEY and writes down, into the file that
// it names, what must not be found where it does not belong.
import { writeFile } from 'node:fs/promises';
import { openBrowser, openPage } from '../browser/harness.mjs';
import { PROMPT, mainJob } from '../browser/main-job.mjs';
import { PASSWORD, addProvider, api, enter } from '../browser/steps.mjs';

/** @type {{ url: string, owner: { mail: string, one_time_password: string }, provider: { address: string, key: string, pid: number } | null, result: string }} */
const { url, owner, provider, result } = JSON.parse(process.env.RENDERKEEP_JOURNEY ?? '');
const server = /** @type {import('../browser/harness.mjs').Server} */ (/** @type {unknown} */ ({ url, owner }));

const browser = await openBrowser();
try {
    const page = await openPage(browser, server);
    await enter(page, server);
    /** @type {import('../browser/main-job.mjs').Job} */
    let job = { model: 'demo/slow', price: '€0.02', release: async () => undefined };
    if (provider) {
        await addProvider(page, provider, { id: 'far/painter', title: 'Far painter', upstream: 'held', hosted: true });
        await page.goto('/studio');
        job = { model: 'far/painter', price: '€0.04', release: async () => process.kill(provider.pid, 'SIGUSR1') };
    }
    const { made, uploaded, downloaded } = await mainJob(page, job);
    const found = {
        generation: made.id,
        calls: (await api(page, 'GET', '/admin/egress?limit=200')).items,
        destinations: (await api(page, 'GET', '/admin/egress/destinations')).items,
        prompt: PROMPT,
        password: PASSWORD,
        cookies: (await page.context().cookies()).map(({ value }) => value),
        uploaded: uploaded.toString('base64'),
        downloaded: downloaded.toString('base64'),
    };
    await writeFile(result, JSON.stringify(found));
} finally {
    await browser.close();
}
