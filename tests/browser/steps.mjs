// What a person does in more than one test, by the words on the page, and the provider that answers on demand.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { deflateSync } from 'node:zlib';

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {{ name: string, mimeType: string, buffer: Buffer }} File */

export const PASSWORD = 'nine brass kettles in a row';

/** With the one-time password, up to the form that asks for an own one. @param {Page} page @param {import('./harness.mjs').Server} server */
export async function signIn(page, server) {
    await page.getByLabel('Mail').fill(server.owner.mail);
    await page.getByLabel('Password', { exact: true }).fill(server.owner.one_time_password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Choose a new password' }).waitFor();
}

/** The first sign-in, up to the Studio. @param {Page} page @param {import('./harness.mjs').Server} server */
export async function enter(page, server) {
    await page.goto('/');
    await signIn(page, server);
    await choosePassword(page);
}

/** @param {Page} page */
export async function choosePassword(page) {
    await page.getByLabel('New password', { exact: true }).fill(PASSWORD);
    await page.getByLabel('Once more').fill(PASSWORD);
    await page.getByRole('button', { name: 'Save and open the Studio' }).click();
    await page.waitForURL('**/studio');
}

/**
 * What the API answers to the person of the page.
 *
 * @param {Page} page @param {string} method @param {string} path @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function api(page, method, path, body) {
    const { status, value } = await page.evaluate(
        async ([method, path, body]) => {
            const csrf = document.querySelector('meta[name=csrf]')?.getAttribute('content') ?? '';
            const headers = { 'X-CSRF-Token': csrf, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) };
            const answer = await fetch(`/api/v1${path}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
            const text = await answer.text();
            return { status: answer.status, value: text ? JSON.parse(text) : null };
        },
        /** @type {const} */ ([method, path, body]),
    );
    if (status >= 400) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(value)}`);
    return value;
}

/**
 * A generation that has ended.
 *
 * @param {Page} page @param {Record<string, unknown>} body
 */
export async function make(page, body) {
    const { id } = await api(page, 'POST', '/generations', { model: 'demo/painter', ...body });
    for (const end = Date.now() + 60_000; Date.now() < end; await page.waitForTimeout(150)) {
        const made = await api(page, 'GET', `/generations/${id}`);
        if (made.ended_at) return made;
    }
    throw new Error(`${id} did not end within a minute`);
}

/** @param {Buffer} bytes */
function crc32(bytes) {
    let sum = 0xffffffff;
    for (const byte of bytes) {
        sum ^= byte;
        for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
    }
    return (sum ^ 0xffffffff) >>> 0;
}

/** @param {string} kind @param {Buffer} data */
function chunk(kind, data) {
    const named = Buffer.concat([Buffer.from(kind, 'latin1'), data]);
    const length = Buffer.alloc(4);
    const sum = Buffer.alloc(4);
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(named));
    return Buffer.concat([length, named, sum]);
}

/** A photo as a camera might give it: sky, sun and hill. @param {string} [name] @param {number} [width] @param {number} [height] @returns {File} */
export function photo(name = 'photo.png', width = 720, height = 480) {
    const rows = Buffer.alloc(height * (1 + width * 3));
    for (let y = 0, at = 0; y < height; y += 1) {
        rows[at++] = 0;
        for (let x = 0; x < width; x += 1) {
            const hill = y > height * (0.62 + 0.14 * Math.sin((x / width) * 5));
            const sun = Math.hypot(x - width * 0.7, y - height * 0.3) < height * 0.11;
            const down = y / height;
            const colour = sun ? [255, 226, 158] : hill ? [52 + 40 * down, 84 + 30 * down, 70] : [120 + 110 * down, 160 + 50 * down, 205];
            for (const value of colour) rows[at++] = value;
        }
    }
    const head = Buffer.alloc(13);
    head.writeUInt32BE(width, 0);
    head.writeUInt32BE(height, 4);
    head.set([8, 2, 0, 0, 0], 8);
    const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
    const buffer = Buffer.concat([signature, chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
    return { name, mimeType: 'image/png', buffer };
}

/** A server that speaks OpenAI's images API on loopback, with a key. */
export class Upstream {
    /** @param {import('node:child_process').ChildProcessWithoutNullStreams} child @param {string} address @param {string} key */
    constructor(child, address, key) {
        this.child = child;
        this.address = address;
        this.key = key;
    }

    static async start(key = 'key-of-the-house') {
        const program = fileURLToPath(new URL('../doubles/openai_server.py', import.meta.url));
        const child = spawn('python3', [program, '--key', key]);
        child.stderr.pipe(process.stderr);
        const [port] = await Promise.race([once(createInterface(child.stdout), 'line'), once(child, 'exit').then(() => [])]);
        if (!port) throw new Error(`${program} ended while starting`);
        return new Upstream(child, `http://127.0.0.1:${port}`, key);
    }

    /** What was asked of it. @returns {Promise<{ path: string, fields: Record<string, any>, files: any[], authorization: string }[]>} */
    async seen() {
        return (await fetch(`${this.address}/seen`)).json();
    }

    /** Lets what waits in the model `held` go on. */
    async release() {
        await fetch(`${this.address}/release`);
    }

    async stop() {
        const gone = once(this.child, 'exit');
        this.child.stdin.end();
        await gone;
    }
}

/**
 * Sets a server up on the admin page, with one model that costs 0.04 a picture.
 *
 * @param {Page} page @param {{ address: string, key: string }} upstream
 * @param {{ id: string, title: string, upstream: string, hosted?: boolean }} model `hosted`: the server is not in the house
 */
export async function addProvider(page, upstream, model) {
    await page.goto('/admin/providers?ask=add');
    const server = page.getByRole('dialog');
    await server.getByLabel('Name', { exact: true }).fill('House GPU');
    await server.getByLabel('Base URL').fill(`${upstream.address}/v1`);
    await server.getByLabel(/API key/).fill(upstream.key);
    if (!model.hosted) await server.getByRole('switch', { name: /in our own house/ }).check();
    await server.getByRole('button', { name: 'Add the server' }).click();

    const sheet = page.getByRole('complementary', { name: 'Provider House GPU' });
    await sheet.getByRole('button', { name: 'Test it' }).click();
    await sheet.getByRole('button', { name: 'Test again' }).waitFor();
    await sheet.locator('#test .banner.ok').waitFor();

    await sheet.getByRole('link', { name: 'Add a model' }).click();
    const form = page.getByRole('dialog');
    await form.getByLabel('Title').fill(model.title);
    await form.getByLabel('Id', { exact: true }).fill(model.id);
    await form.getByLabel('Name at the server').fill(model.upstream);
    for (const task of await form.getByRole('group', { name: 'Tasks' }).getByRole('checkbox').all()) await task.check();
    await form.getByLabel('Sizes').fill('512x512, 1024x1024');
    await form.getByLabel('Most pictures at once').fill('4');
    await form.getByRole('switch', { name: 'Takes reference pictures' }).check();
    await form.getByRole('radio', { name: /Per picture/ }).check();
    await form.getByLabel(/Amount per picture/).fill('0.04');
    await form.getByRole('button', { name: 'Add the model' }).click();

    await sheet.getByText(model.id).waitFor();
    await sheet.getByRole('button', { name: 'Switch on', exact: true }).click();
    await sheet.getByText('Everybody can choose its models.').waitFor();
    const off = sheet.getByRole('button', { name: `Switch on ${model.title}` });
    if (await off.count()) await off.click();
}
