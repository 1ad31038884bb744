// The main job as a person does it, once with the built-in painter and once with a server that speaks OpenAI's images API:
// from the first sign-in to the file on the person's own disk, with a reload in the middle.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server, assertQuiet, openBrowser, openPage } from './harness.mjs';
import { PROMPT, mainJob } from './main-job.mjs';
import { Upstream, addProvider, api, enter } from './steps.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => {
    browser = await openBrowser();
});
after(() => browser?.close());

/**
 * A person at a server of their own. @param {import('node:test').TestContext} context
 * @param {Record<string, string>} env @param {(page: Awaited<ReturnType<typeof openPage>>) => Promise<void>} work
 */
async function atOwnServer(context, env, work) {
    const server = await Server.start({ env });
    let failed = true;
    context.after(() => server.remove({ failed }));
    const page = await openPage(browser, server);
    context.after(() => page.context().close());
    await enter(page, server);
    await work(page);
    failed = false;
}

test('with the demo painter', { timeout: 120_000 }, async (context) => {
    // The model that takes ten seconds leaves time for the reload on every machine.
    await atOwnServer(context, { RENDERKEEP__INFERENCE__DEMO_FAULTS: 'true' }, async (page) => {
        await mainJob(page, { model: 'demo/slow', price: '€0.02', release: async () => undefined });
    });
});

test('with a server that speaks the images API of OpenAI', { timeout: 120_000 }, async (context) => {
    const upstream = await Upstream.start();
    context.after(() => upstream.stop());
    await atOwnServer(context, {}, async (page) => {
        await addProvider(page, upstream, { id: 'house/painter', title: 'House painter', upstream: 'held' });
        await page.goto('/studio');
        const { made } = await mainJob(page, { model: 'house/painter', price: '€0.04', release: () => upstream.release() });

        const asked = (await upstream.seen()).filter((call) => call.path.startsWith('/v1/images'));
        assert.equal(asked.length, 1, 'sent once');
        assert.equal(asked[0].path, '/v1/images/edits');
        assert.equal(asked[0].authorization, `Bearer ${upstream.key}`);
        assert.equal(asked[0].fields.prompt, PROMPT);
        assert.equal(asked[0].files.length, 1);

        const calls = await api(page, 'GET', `/admin/egress`);
        const call = calls.items.find((/** @type {any} */ one) => one.generation === made.id);
        assert.ok(call.bytes_out > 0 && call.bytes_in > 0, JSON.stringify(call));
        await page.goto('/admin/egress');
        await page.getByRole('heading', { level: 1 }).waitFor();
        assertQuiet(page);
    });
});
