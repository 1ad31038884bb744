// What lies on the disk after a person has worked: nothing that somebody wrote, uploaded, made or is called can be read
// in the files of MinIO and Postgres, its write-ahead log among them, nor in the logs and what else is below the directory.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { open, readFile, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { after, before, test } from 'node:test';
import { Server, openBrowser, openPage } from './harness.mjs';
import { api, enter, make, photo } from './steps.mjs';

/** @type {import('playwright-core').Browser} */
let browser;
before(async () => {
    browser = await openBrowser();
});
after(() => browser?.close());

const PART = 4 << 20;
/** Longer than any mark in any of its forms: what two parts of a file share. */
const SHARED = 1024;

/** The ways in which a text could lie about: as it is, as hexadecimal digits (bytea in a log), in base64. @param {Buffer} bytes */
function forms(bytes) {
    // The first and last characters of base64 depend on what stands beside.
    const base64 = [0, 1, 2].map((shift) => Buffer.concat([Buffer.alloc(shift), bytes]).toString('base64').slice(4, -4));
    return [bytes, Buffer.from(bytes.toString('hex')), ...base64.map((text) => Buffer.from(text))];
}

/**
 * Where below `directory` which mark can be read.
 *
 * @param {string} directory @param {Record<string, Buffer>} marks
 */
async function readable(directory, marks) {
    const found = [];
    const wanted = Object.entries(marks).flatMap(([name, bytes]) => forms(bytes).map((form) => ({ name, form })));
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const path = join(entry.parentPath, entry.name);
        // Postgres replaces files of its own while it runs.
        const file = await open(path).catch(() => null);
        if (!file) continue;
        let before = Buffer.alloc(0);
        for await (const part of file.createReadStream({ highWaterMark: PART })) {
            const here = Buffer.concat([before, part]);
            for (const { name, form } of wanted) if (here.includes(form)) found.push({ name, file: relative(directory, path) });
            before = here.subarray(-SHARED);
        }
    }
    return found;
}

/** @param {string} what */
const mark = (what) => `${what}${randomBytes(6).toString('hex')}`;

test('nothing that people wrote, made or are called can be read on the disk', { timeout: 180_000 }, async (context) => {
    const open = mark('organisation');
    const server = await Server.start({ env: { RENDERKEEP__INFERENCE__DEMO_FAULTS: 'true', RENDERKEEP__ORGANISATION__NAME: open } });
    let failed = true;
    context.after(() => server.remove({ failed }));
    const page = await openPage(browser, server);
    await enter(page, server);

    // Everything that a person can say, each with a mark of its own.
    const said = { name: mark('Name'), mail: `${mark('mail')}@example.org`, colleague: mark('Colleague'), prompt: mark('prompt'), failing: mark('failing'), file: mark('file'), token: mark('token') };
    await page.goto('/settings');
    await page.getByLabel('Name', { exact: true }).fill(said.name);
    await page.getByRole('button', { name: 'Save' }).first().click();
    await page.getByText(said.name).first().waitFor();
    await api(page, 'POST', '/admin/people', { mail: said.mail, name: said.colleague, role: 'member' });
    await api(page, 'POST', '/tokens', { name: said.token, scopes: ['read'] });
    const picture = photo(`${said.file}.png`);
    await page.goto('/library');
    await page.locator('#upload input[type=file]').setInputFiles(picture);
    const tile = page.locator('.tile[data-asset]', { has: page.locator(`img[alt^="${said.file}"]`) });
    await tile.waitFor();
    const upload = await tile.getAttribute('data-asset');
    const prompt = `a heron beside ${said.prompt} in the rain`;
    const made = await make(page, { prompt, size: '512x512', references: [{ asset: upload, role: 'reference' }] });
    assert.equal(made.state, 'succeeded');
    await make(page, { model: 'demo/fail-late', prompt: said.failing });
    const asset = made.outputs[0].asset;
    const render = Buffer.from(await page.evaluate(async (path) => Array.from(new Uint8Array(await (await fetch(path)).arrayBuffer())), `/api/v1/assets/${asset}/content`));

    // It is found again by its words all the same, on the pages and through the API.
    for (const [box, words, expected] of [
        ['Search pictures', `${said.prompt.slice(0, 9).toUpperCase()} heron`, `.tile[data-asset="${asset}"]`],
        ['Search pictures', said.file, `.tile[data-asset="${upload}"]`],
        ['Search generations', 'héron', `tr[data-gen="${made.id}"]`],
        ['Search people', said.mail.split('@')[0], `text=${said.mail}`],
    ]) {
        await page.goto(box === 'Search pictures' ? '/library' : box === 'Search people' ? '/admin/people' : '/activity');
        await page.getByRole('searchbox', { name: box }).fill(words);
        await page.getByRole('searchbox', { name: box }).press('Enter');
        await page.waitForURL(/search=|q=/);
        await page.locator(expected).first().waitFor();
    }
    await page.goto('/library?search=nothingofthekind');
    await page.getByText('Nothing matches').waitFor();

    const inside = (/** @type {Buffer} */ bytes) => bytes.subarray(bytes.length >> 1, (bytes.length >> 1) + 48);
    const marks = {
        ...Object.fromEntries(Object.entries(said).map(([name, text]) => [name, Buffer.from(text)])),
        upload: inside(picture.buffer),
        render: inside(render),
        png: Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d]),
        jpeg: Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 0x10, 0x4a, 0x46, 0x49, 0x46, 0]),
        lower: Buffer.from(said.name.toLowerCase()),
    };
    assert.deepEqual(await readable(server.dir, marks), [], 'while it runs');
    await page.context().close();
    await server.stop();
    assert.deepEqual(await readable(server.dir, marks), [], 'after it stopped');

    // That the search finds what is there: the organisation's name is no secret, and sealed objects say what they are.
    const places = (await readable(server.dir, { open: Buffer.from(open) })).map(({ file }) => file);
    assert.ok(places.some((file) => file.startsWith('data/postgres/base/')), `${places}`);
    assert.ok(places.some((file) => file.startsWith('data/postgres/pg_wal/')), `${places}`);
    const sealed = await readable(join(server.data, 'minio'), { sealed: Buffer.from('RKSEAL\x01\x10', 'latin1') });
    assert.ok(sealed.length > 0, 'no object was found');
    assert.ok((await readFile(server.log)).length >= 0);
    failed = false;
});
