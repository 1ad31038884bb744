// Every page as people meet it: on a phone and on a desk, light and dark. Nothing scrolls sideways, nothing is fetched from
// elsewhere, no console error, no fault that axe can find. The pictures in target/screenshots are for people to look at.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server, assertQuiet, openBrowser, openPage, shoot } from './harness.mjs';
import { Upstream, addProvider, api, choosePassword, make, photo, signIn } from './steps.mjs';

const WIDTHS = [390, 1440];
const PROMPTS = [
    ['dunes under a pale morning sky', '1344x768'],
    ['a gradient in teal and sand', '512x512'],
    ['folds of red silk', '768x1344'],
    ['the sea at night, a low moon', '1536x1024'],
];

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Server} */
let server;
/** @type {Upstream} */
let upstream;
/** @type {Awaited<ReturnType<typeof openPage>>} */
let page;
let failed = false;

before(async () => {
    // One by one: what did not start must not keep the rest from ending.
    browser = await openBrowser();
    upstream = await Upstream.start();
    server = await Server.start();
    page = await openPage(browser, server);
});
after(async () => {
    await Promise.all([browser?.close(), upstream?.stop(), server?.remove({ failed })]);
});

/** @param {string} name @param {() => Promise<void>} check */
function look(name, check) {
    test(name, { timeout: 120_000 }, async () => {
        try {
            await check();
            assertQuiet(page);
        } catch (error) {
            failed = true;
            throw error;
        } finally {
            page.problems.length = 0;
        }
    });
}

/** @param {string} address @param {string} name */
async function shown(address, name) {
    await page.goto(address);
    await page.getByRole('heading', { level: 1 }).first().waitFor({ state: 'attached' });
    await shoot(page, name, { widths: WIDTHS });
}

look('sign-in', () => shown('/sign-in', 'sign-in'));

look('the new password', async () => {
    await signIn(page, server);
    await shoot(page, 'password', { widths: WIDTHS });
});

look('an empty house', async () => {
    await choosePassword(page);
    await shoot(page, 'studio-empty', { widths: WIDTHS });
    await shown('/library', 'library-empty');
    await shown('/activity', 'activity-empty');
});

look('Studio with results', async () => {
    for (const [prompt, size] of PROMPTS) await make(page, { prompt, size, seed: 11 });
    await make(page, { prompt: 'a quiet bay with mountains behind, early light', count: 4, seed: 3 });
    await page.goto('/library');
    await page.getByLabel('Upload').setInputFiles([photo(), photo('hill.png', 480, 640)]);
    await page.locator('.tile .kind').nth(1).waitFor();
    await shown('/studio', 'studio');
});

look('Studio on a phone, further down', async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await page.locator('.gen').last().scrollIntoViewIfNeeded();
    const [form, first] = await Promise.all([page.locator('.composer').boundingBox(), page.locator('.gen').first().boundingBox()]);
    assert.ok(form && first && form.y + form.height <= first.y, `the form ${JSON.stringify(form)} lies over ${JSON.stringify(first)}`);
});

look('Studio while something is wrong', async () => {
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.getByLabel(/^Prompt/).fill('');
    await page.getByRole('button', { name: /^Generate/ }).click();
    await page.getByText('Write what you want to see.').waitFor();
    await shoot(page, 'studio-error', { widths: WIDTHS });
});

look('Library', () => shown('/library', 'library'));

look('Library with a selection', async () => {
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.locator('.tile').first().hover();
    await page.locator('.tile input[type=checkbox]').first().check();
    await page.getByText('1 selected').waitFor();
    await shoot(page, 'library-selection', { widths: WIDTHS, height: 1400 });
});

look('Trash', async () => {
    const { items } = await api(page, 'GET', '/assets?kind=upload');
    await api(page, 'DELETE', `/assets/${items[0].id}`);
    await shown('/library?trashed=true', 'trash');
});

look('an asset', async () => {
    const { items } = await api(page, 'GET', '/assets?kind=render');
    await shown(`/library/${items[0].id}`, 'asset');
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.keyboard.press('?');
    await page.getByRole('heading', { name: 'Keyboard shortcuts' }).waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('heading', { name: 'Keyboard shortcuts' }).waitFor({ state: 'hidden' });
});

look('one generation', async () => {
    const { items } = await api(page, 'GET', '/generations');
    await shown(`/studio/generations/${items[0].id}`, 'generation');
});

look('Settings', () => shown('/settings', 'settings'));

look('API tokens', async () => {
    await shown('/settings/tokens', 'tokens');
    await page.getByLabel('Name').first().fill('Nightly renders');
    await page.getByRole('button', { name: /^(Make|Create).*token/ }).click();
    await page.getByLabel('API token', { exact: true }).waitFor();
    await shoot(page, 'token-made', { widths: WIDTHS });
});

look('People', async () => {
    await api(page, 'POST', '/admin/people', { mail: 'noor@example.org', name: 'Noor Haddad', role: 'member' });
    await api(page, 'POST', '/admin/people', { mail: 'tomas@example.org', name: 'Tomás Ferreira', role: 'member' });
    await shown('/admin/people', 'people');
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.getByRole('link', { name: 'Noor Haddad' }).click();
    await page.locator('aside.sheet').waitFor();
    await shoot(page, 'person', { widths: WIDTHS });
    await shown('/admin/people?ask=add', 'people-add');
});

look('Providers and models', async () => {
    await page.setViewportSize({ width: 1440, height: 1000 });
    await addProvider(page, upstream, { id: 'house/painter', title: 'House painter', upstream: 'paints' });
    await make(page, { model: 'house/painter', prompt: 'a clay bowl', size: '512x512', count: 2 });
    await page.reload();
    await shoot(page, 'provider', { widths: WIDTHS });
    await shown('/admin/providers', 'providers');
});

look('Unknown outcomes', async () => {
    await shown('/admin/unknown', 'unknown-empty');
    const { items } = await api(page, 'GET', '/admin/providers');
    const provider = items.find((/** @type {any} */ one) => one.title === 'House GPU').id;
    const price = { micros: 40_000, currency: 'EUR' };
    await api(page, 'POST', '/admin/models', { provider, id: 'house/drop', upstream_name: 'drop', title: 'Drops the line', sizes: ['512x512'], price });
    const { id } = await api(page, 'POST', '/generations', { model: 'house/drop', prompt: 'a clay bowl' });
    for (let state = ''; state !== 'unknown'; await page.waitForTimeout(150)) ({ state } = await api(page, 'GET', `/generations/${id}`));
    await shown('/admin', 'overview-waits');
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.getByRole('link', { name: /^Settle: 1 generation/ }).click();
    await shown('/admin/unknown', 'unknown');
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.getByRole('link', { name: 'Settle Drops the line, 1 picture of Owner' }).click();
    const form = page.getByRole('dialog', { name: 'Settle this generation' });
    await form.getByRole('radio', { name: /^Billed/ }).check();
    await form.getByLabel('How you know').fill('It is on their bill.');
    await form.getByRole('button', { name: 'Settle it' }).click();
    await form.getByText('Write an amount such as 0.04').waitFor();
    assert.match(page.problems.pop() ?? '', /422/, 'the console tells of the answer that refuses');
    await shoot(page, 'unknown-settle', { widths: WIDTHS });
    await form.getByLabel('Amount billed').fill('0.03');
    await form.getByRole('button', { name: 'Settle it' }).click();
    await page.getByText('Nothing is unknown').waitFor();
    const settled = await api(page, 'GET', `/generations/${id}`);
    assert.deepEqual([settled.state, settled.price.actual.micros], ['failed', 30_000]);
});

look('Spend caps', async () => {
    await shown('/admin/caps', 'caps-empty');
    const cap = (/** @type {string} */ scope, /** @type {string} */ period, /** @type {number} */ micros) =>
        api(page, 'PUT', '/admin/caps', { scope, subject: null, period, limit: { micros, currency: 'EUR' } });
    await cap('organisation', 'month', 50_000_000);
    await cap('person', 'month', 250_000);
    await cap('person', 'day', 1_000_000);
    await shown('/admin/caps', 'caps');
    await shown('/admin/caps?open=default', 'cap');
    await page.goto('/admin/caps?open=organisation');
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.getByRole('link', { name: /^Add to the cap/ }).click();
    const form = page.getByRole('dialog', { name: 'Add to this cap' });
    await form.getByLabel(/^Amount to add/).fill('20.00');
    await shoot(page, 'cap-refill', { widths: WIDTHS });
});

look('Activity', async () => {
    await shown('/activity', 'activity');
    await page.getByRole('link', { name: 'Statement' }).click();
    await page.waitForURL('**/activity/statement*');
    await shoot(page, 'statement', { widths: WIDTHS });
});

look('Statements', () => shown('/admin/statements', 'statements'));

look('Overview', () => shown('/admin', 'overview'));
look('Egress', () => shown('/admin/egress', 'egress'));
look('Audit', () => shown('/admin/audit', 'audit'));

look('the queue and the menus', async () => {
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.goto('/studio');
    for (const [button, region] of [[/waiting|running|queue/i, 'Queue'], [/^Budget/, 'What is left'], [/, Owner|^\w+, /, 'You']]) {
        await page.locator('.topbar').getByRole('button', { name: button }).click();
        await page.getByRole('region', { name: /** @type {string} */ (region), exact: true }).waitFor();
        await shoot(page, `pop-${String(region).toLowerCase().replaceAll(' ', '-')}`, { widths: WIDTHS });
        await page.keyboard.press('Escape');
    }
});

look('keys', async () => {
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.goto('/library');
    await page.keyboard.press('?');
    await page.getByRole('heading', { name: 'Keyboard shortcuts' }).waitFor();
    await shoot(page, 'shortcuts', { widths: WIDTHS });
    await page.keyboard.press('Escape');
    await page.getByRole('heading', { name: 'Keyboard shortcuts' }).waitFor({ state: 'hidden' });
    await page.keyboard.press('g');
    await page.keyboard.press('s');
    await page.waitForURL('**/studio');
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'prompt');
    await page.keyboard.press('Tab');
    const outlined = await page.evaluate(() => document.activeElement?.matches(':focus-visible'));
    assert.ok(outlined, 'the focus can be seen');
});

look('what is not there', async () => {
    const answer = await page.goto('/nothing-here');
    assert.equal(answer?.status(), 404);
    await shoot(page, 'not-found', { widths: WIDTHS });
    // The browser itself writes the 404 of the page down.
    page.problems.splice(0, page.problems.length, ...page.problems.filter((problem) => !problem.includes('404')));
});
