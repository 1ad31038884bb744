// What pages look like in states that pass: while work runs, after it failed, at a closed door; and the main job without a
// mouse. With the faulty demo models on, every page also carries a notice, which must not push anything out of the window.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server, assertQuiet, openBrowser, openPage, shoot } from './harness.mjs';
import { PASSWORD, api, enter, make } from './steps.mjs';

const WIDTHS = [390, 1440];

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Server} */
let server;
/** @type {Awaited<ReturnType<typeof openPage>>} */
let page;
let failed = true;

before(async () => {
    browser = await openBrowser();
    server = await Server.start({ env: { RENDERKEEP__INFERENCE__DEMO_FAULTS: 'true' } });
    page = await openPage(browser, server);
    await enter(page, server);
});
after(async () => {
    await Promise.all([browser?.close(), server?.remove({ failed })]);
});

/** @param {string} role */
const active = (role) => page.locator(`*:focus`).and(page.getByRole(/** @type {any} */ (role)));

/** What has the focus is inside the window and shows it. */
async function focusIsSeen() {
    const seen = await page.evaluate(() => {
        const at = document.activeElement;
        if (!at || at === document.body) return 'nothing has the focus';
        const { top, bottom, width } = at.getBoundingClientRect();
        const label = at.closest('label, .tile') ?? at;
        const outlined = [at, label].some((one) => getComputedStyle(one).outlineStyle !== 'none' || getComputedStyle(one).boxShadow !== 'none') || label.matches(':has(:focus-visible)');
        if (!outlined) return `${at.outerHTML.slice(0, 120)} does not show the focus`;
        return width > 0 && (bottom < 0 || top > innerHeight) ? `${at.outerHTML.slice(0, 120)} is outside of the window` : '';
    });
    assert.equal(seen, '');
}

/** Presses Tab until `found` has the focus. @param {import('playwright-core').Locator} found @param {number} [most] */
async function tabTo(found, most = 40) {
    for (let presses = 0; presses < most; presses += 1) {
        await page.keyboard.press('Tab');
        await focusIsSeen();
        if (await found.evaluate((one) => one === document.activeElement)) return;
    }
    assert.fail(`${most} presses of Tab do not reach ${found}`);
}

test('the main job without a mouse', { timeout: 120_000 }, async () => {
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.goto('/studio');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Skip to content');
    await tabTo(page.getByLabel(/^Prompt/));
    await page.keyboard.type('a harbour in the evening');
    await tabTo(page.getByLabel('Model'));
    await tabTo(page.getByRole('spinbutton', { name: 'Pictures' }));
    await tabTo(page.getByRole('button', { name: /^Generate/ }));
    await page.keyboard.press('Enter');
    const picture = page.locator('.gen[data-state=succeeded] .tile > a').first();
    await picture.waitFor({ timeout: 30_000 });
    await tabTo(picture);
    await page.keyboard.press('Enter');
    await page.waitForURL('**/library/ast_*');
    await tabTo(page.getByRole('button', { name: 'Move to trash' }));

    await page.keyboard.press('?');
    const list = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
    await list.waitFor();
    for (let presses = 0; presses < 4; presses += 1) {
        await page.keyboard.press('Tab');
        assert.ok(await page.evaluate(() => document.activeElement === document.body || document.activeElement?.closest('dialog[open]')), 'the focus stays in the dialog');
    }
    await page.keyboard.press('Escape');
    await list.waitFor({ state: 'hidden' });
    await page.getByRole('button', { name: 'Move to trash' }).and(page.locator(':focus')).waitFor();
    assertQuiet(page);
});

test('a sheet closes with Escape, and its row has the focus again', { timeout: 60_000 }, async () => {
    await page.goto('/admin/people');
    const row = page.getByRole('link', { name: 'Owner', exact: true });
    await row.focus();
    await page.keyboard.press('Enter');
    await page.locator('aside.sheet').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('aside.sheet').waitFor({ state: 'detached' });
    await row.and(page.locator(':focus')).waitFor();
    assertQuiet(page);
});

test('Studio after failures, and while work runs', { timeout: 180_000 }, async () => {
    const late = await make(page, { model: 'demo/fail-late', prompt: 'a red kite over a field', size: '512x512' });
    const refused = await make(page, { model: 'demo/fail', prompt: 'a red kite over a field', size: '512x512' });
    assert.deepEqual([late.state, refused.state], ['failed', 'failed']);
    await page.setViewportSize({ width: 1440, height: 1000 });
    await page.goto('/studio');
    await page.locator(`.gen[data-gen="${refused.id}"]`).getByRole('button', { name: /^Try again/ }).waitFor();
    const button = await page.getByRole('button', { name: /^Generate/ }).boundingBox();
    assert.ok(button && button.y + button.height <= 1000, 'Generate is in the window, below a notice too');
    await shoot(page, 'studio-failed', { widths: WIDTHS });

    await page.setViewportSize({ width: 1440, height: 1000 });
    const { id } = await api(page, 'POST', '/generations', { model: 'demo/slow', prompt: 'a harbour in the evening', size: '512x512', count: 4 });
    const card = page.locator(`.gen[data-gen="${id}"]`);
    await card.locator('.tile.preview').first().waitFor();
    await page.locator('#queue-chip').click();
    // Asked until it is so: the tray shows itself anew with every change of state.
    await page.waitForFunction((id) => (document.querySelector(`.job[data-gen="${id}"] progress`)?.getBoundingClientRect().width ?? 0) > 100, id);
    // Without axe, which takes longer than the work.
    await shoot(page, 'studio-running', { widths: WIDTHS, accessible: false });
    await page.locator(`.job[data-gen="${id}"] button`).focus();
    const { id: second } = await api(page, 'POST', '/generations', { model: 'demo/slow', prompt: 'a hill', size: '512x512' });
    await page.locator(`.job[data-gen="${second}"]`).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement?.closest('.job')?.getAttribute('data-gen')), id, 'the focus stays with its work');
    await page.keyboard.press('Escape');
    for (const running of [second, id]) {
        await page.locator(`.gen[data-gen="${running}"]`).getByRole('button', { name: 'Cancel' }).click();
        await page.locator(`.gen[data-gen="${running}"][data-state=cancelled]`).waitFor();
    }
    assertQuiet(page);
});

test('what was asked for comes into view', { timeout: 60_000 }, async () => {
    for (const prompt of ['one hill', 'two hills']) await make(page, { prompt, size: '1024x1024', count: 2 });
    await page.setViewportSize({ width: 1440, height: 800 });
    await page.goto('/studio');
    await page.getByLabel('Model').selectOption('demo/painter');
    await page.getByLabel(/^Prompt/).fill('three hills');
    await page.evaluate(() => scrollTo(0, 700));
    await page.waitForFunction(() => scrollY > 600);
    await page.getByLabel(/^Prompt/).press('Control+Enter');
    await page.waitForFunction(() => {
        const card = document.querySelector('.gen');
        const top = card?.getBoundingClientRect().top ?? -1;
        return card instanceof HTMLElement && card.dataset.prompt === 'three hills' && top >= 0 && top < innerHeight;
    });
    assertQuiet(page);
});

test('a session that ended elsewhere says so, and nothing typed is lost', { timeout: 60_000 }, async () => {
    const other = await openPage(browser, server);
    await other.goto('/studio');
    await other.getByLabel('Mail').fill(server.owner.mail);
    await other.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await other.getByRole('button', { name: 'Sign in' }).click();
    await other.getByLabel(/^Prompt/).fill('do not lose me');
    await other.context().clearCookies();
    await other.getByLabel(/^Prompt/).press('Control+Enter');
    await other.locator('[data-part=error]').getByText('Your session has ended.').waitFor();
    await other.locator('[data-part=error]').getByRole('link', { name: 'Sign in' }).click();
    await other.waitForURL('**/sign-in**');
    await other.context().close();
});

test('a member has no Admin', { timeout: 60_000 }, async () => {
    const made = await api(page, 'POST', '/admin/people', { mail: 'noor@example.org', name: 'Noor Haddad', role: 'member' });
    const member = await openPage(browser, server);
    await member.goto('/');
    await member.getByLabel('Mail').fill('noor@example.org');
    await member.getByLabel('Password', { exact: true }).fill('not this one');
    await member.getByRole('button', { name: 'Sign in' }).click();
    await member.getByText('do not match').waitFor();
    assert.match(member.problems.pop() ?? '', /401|422/, 'the console tells of the answer that refuses');
    await shoot(member, 'sign-in-refused', { widths: WIDTHS });
    await member.getByLabel('Password', { exact: true }).fill(made.one_time_password);
    await member.getByRole('button', { name: 'Sign in' }).click();
    await member.getByLabel('New password', { exact: true }).fill(PASSWORD);
    await member.getByLabel('Once more').fill(PASSWORD);
    await member.getByRole('button', { name: 'Save and open the Studio' }).click();
    await member.waitForURL('**/studio');
    assert.equal(await member.getByRole('link', { name: 'Admin' }).count(), 0);
    assert.equal((await member.goto('/admin'))?.status(), 403);
    assert.match(member.problems.pop() ?? '', /403/, 'the console tells of the answer that refuses');
    await shoot(member, 'forbidden', { widths: WIDTHS });
    assertQuiet(member);
    failed = false;
});
