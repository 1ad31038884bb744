// The main job, step by step, at whatever server and provider there is.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { assertAccessible, assertQuiet } from './harness.mjs';
import { api, photo } from './steps.mjs';

export const PROMPT = 'a lighthouse above a calm sea at dawn';

/** @param {string | Buffer} bytes */
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

/**
 * @typedef {object} Job
 * @property {string} model
 * @property {string} price of one picture, as the page writes it
 * @property {() => Promise<unknown>} release lets the provider finish
 */

/** Composes, and sees the price before anything is sent. @param {import('playwright-core').Page} page @param {Job} job */
async function compose(page, job) {
    const picture = photo();
    await page.getByLabel('Model').selectOption(job.model);
    await page.locator('#fields input[name=size][value="512x512"]').waitFor({ state: 'attached' });
    await page.locator('label', { has: page.locator('input[value="512x512"]') }).click();
    await page.getByLabel('Pictures').fill('1');
    await page.getByLabel('Add a reference picture').setInputFiles(picture);
    await page.locator('.ref[data-asset^="ast_"] img[alt="photo.png"]').waitFor();
    await page.getByLabel(/^Prompt/).fill(PROMPT);
    await page.locator('[data-part=price]', { hasText: job.price }).waitFor();
    return picture;
}

/** Generates; reloads while it runs; it goes on. Gives the generation. @param {import('playwright-core').Page} page @param {Job} job */
async function generate(page, job) {
    await page.getByRole('button', { name: /^Generate/ }).click();
    const card = page.locator('.gen').first();
    await card.getByRole('progressbar').waitFor();
    const id = (await card.getAttribute('data-gen')) ?? '';
    assert.match(id, /^gen_/);

    await page.reload();
    const again = page.locator(`.gen[data-gen="${id}"]`);
    await again.getByRole('progressbar').waitFor();
    assert.equal(await page.getByLabel(/^Prompt/).inputValue(), PROMPT, 'what was typed survives the reload');
    await page.locator('.ref[data-asset^="ast_"]').waitFor();
    assert.match((await page.locator('#queue-chip').innerText()).trim(), /^1/);

    await job.release();
    await page.locator(`.gen[data-gen="${id}"][data-state=succeeded] .tile img`).waitFor({ timeout: 60_000 });
    return id;
}

/** Opens the picture's page and downloads the file; gives its bytes. @param {import('playwright-core').Page} page @param {string} asset */
async function download(page, asset) {
    await page.locator(`.tile[data-asset="${asset}"] a`).first().click();
    await page.waitForURL(`**/library/${asset}`);
    await page.locator('.viewer .prompt', { hasText: PROMPT }).waitFor();
    await assertAccessible(page);
    const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: /^Download, / }).click()]);
    return readFile(await file.path());
}

/** To the trash from its own page, and back by the offer to undo. @param {import('playwright-core').Page} page @param {string} asset */
async function trashAndUndo(page, asset) {
    await page.getByRole('button', { name: 'Move to trash' }).click();
    await page.waitForURL('**/library');
    const undo = page.getByRole('button', { name: 'Undo' });
    await undo.waitFor();
    assert.equal(await page.locator(`.tile[data-asset="${asset}"]`).count(), 0);
    assert.ok((await api(page, 'GET', `/assets/${asset}`)).trashed_at);
    await undo.click();
    await page.locator(`.tile[data-asset="${asset}"]`).waitFor();
    assert.equal((await api(page, 'GET', `/assets/${asset}`)).trashed_at, null);
}

/** @param {import('playwright-core').Page} page @param {Job} job @param {string} generation */
async function spendIsListed(page, job, generation) {
    await page.goto('/activity');
    const row = page.locator(`tr[data-gen="${generation}"]`);
    await row.getByText(PROMPT).waitFor();
    assert.equal((await row.locator('td').last().innerText()).trim(), job.price);
    assert.match(await row.innerText(), /Done|Succeeded|Finished/);
}

/** From the Studio on. @param {import('playwright-core').Page & { problems: string[] }} page @param {Job} job */
export async function mainJob(page, job) {
    const uploaded = await compose(page, job);
    const id = await generate(page, job);

    const made = await api(page, 'GET', `/generations/${id}`);
    assert.equal(made.outputs.length, 1);
    assert.equal(made.price.overage, null);
    const asset = made.outputs[0].asset;
    const reference = await api(page, 'GET', `/assets/${made.references[0].asset}`);
    assert.equal(reference.sha256, sha256(uploaded.buffer), 'the upload is kept as it was');

    const bytes = await download(page, asset);
    const stored = await api(page, 'GET', `/assets/${asset}`);
    assert.deepEqual([bytes.length, sha256(bytes)], [stored.bytes, stored.sha256]);
    assert.deepEqual([stored.width, stored.height, stored.kind], [512, 512, 'render']);

    await page.goto('/library');
    await page.locator(`.tile[data-asset="${asset}"]`).waitFor();
    await page.locator(`.tile[data-asset="${reference.id}"]`).waitFor();
    await page.goto(`/library/${asset}`);
    await trashAndUndo(page, asset);
    await spendIsListed(page, job, id);
    assertQuiet(page);
    return { made, uploaded: uploaded.buffer, downloaded: bytes };
}
