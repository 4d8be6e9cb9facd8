// What the service does for GetChatMenu, written for Node as one would: grpc-js, better-sqlite3 with
// prepared statements, on the same database. It knows its callers, asks the gate, holds out, seals
// a token for each item, notes who met an experiment and counts its calls. It is kinder to itself
// than the service: programs are read once a second, and a caller's token is verified once.
//
//   node server.js DATABASE JWKS PROTO_FOLDER

import { createCipheriv, createHash, createHmac, createPublicKey, randomBytes, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import grpc from '@grpc/grpc-js';
import loader from '@grpc/proto-loader';
import Database from 'better-sqlite3';

const [database, jwks, protos] = process.argv.slice(2);
const DAY = 86_400;
const WINDOW_DAYS = 30;
const KINDS = [[1, 'WECOM', 'wecom'], [2, 'PHONE', 'phone'], [3, 'WECHAT_ID', 'wechat']];
const LABELS = { WECOM: '添加企业微信', PHONE: '拨打电话', WECHAT_ID: '复制微信号' };

const db = new Database(database);
db.pragma('journal_mode = WAL');
db.pragma('synchronous = FULL');

const programs = db.prepare('SELECT no, kinds, surfaces, threshold, share_permille FROM programs WHERE state = 1');
const menu = db.prepare(
  `SELECT p.no, p.id, p.kinds, p.position, p.state, p.start_time, p.end_time, p.version,
          c.display_name, c.headline, c.avatar_uri, c.contacts, c.deleted, c.version AS card_version
     FROM placements p JOIN cards c ON c.no = p.card_no
    WHERE p.merchant = ? AND p.surface = 1 AND p.state <> 3
    ORDER BY p.state, p.position, p.no LIMIT 4`);
const lists = db.prepare('SELECT program_no, list FROM enrollments WHERE merchant = ? AND NOT deleted');
const spend = db.prepare('SELECT coalesce(sum(delta), 0) AS total FROM spend WHERE merchant = ? AND day BETWEEN ? AND ?');
const sanctions = db.prepare('SELECT count(*) AS n FROM sanctions WHERE merchant = ? AND lift_time IS NULL');
const experiment = db.prepare('SELECT no, body FROM experiments WHERE merchant = ? AND stop_time IS NULL');
const exposure = db.prepare(
  'INSERT INTO exposures (experiment_no, viewer, arm, time) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING');

const keys = new Map(JSON.parse(readFileSync(jwks, 'utf8')).keys
  .map((key) => [key.kid, createPublicKey({ key, format: 'jwk' })]));
const callers = new Map();
const secret = randomBytes(32);
const sealing = randomBytes(32);

function caller(metadata) {
  const [value] = metadata.get('authorization');
  const known = callers.get(value);
  if (known) return known.exp > Date.now() / 1000 ? known : undefined;
  const token = String(value).replace(/^Bearer /, '');
  const [head, body, signature] = token.split('.');
  const key = keys.get(JSON.parse(Buffer.from(head, 'base64url')).kid);
  const good = key && verify(null, Buffer.from(`${head}.${body}`), key, Buffer.from(signature, 'base64url'));
  if (!good) return undefined;
  const claims = JSON.parse(Buffer.from(body, 'base64url'));
  callers.set(value, claims);
  return claims;
}

let running = [];
const refresh = () => { running = programs.all(); };
refresh();
setInterval(refresh, 1000);

function admits(merchant, kind) {
  const today = Math.floor((Date.now() / 1000 + DAY / 3) / DAY);
  const listed = lists.all(merchant);
  const { total } = spend.get(merchant, today - WINDOW_DAYS, today - 1);
  const stopped = sanctions.get(merchant).n > 0;
  return (bit) => !stopped && running.some((program) =>
    !listed.some((list) => list.program_no === program.no && list.list === 2) &&
    (program.kinds & (1 << bit)) !== 0 && (program.surfaces & 2) !== 0 && total > program.threshold);
}

const hash = (text) => createHmac('sha256', secret).update(text).digest().readBigInt64BE(0);

// A synthetic IV over what it says, then the same encrypted: 64 characters, as the service's.
function seal(placement, kind, now, viewer, arm) {
  const plain = Buffer.alloc(31);
  plain[0] = 1;
  plain[1] = kind << 4;
  plain.writeUIntBE(placement, 2, 6);
  plain.writeUInt32BE(Math.floor(now / 1000), 8);
  plain.writeBigInt64BE(viewer, 12);
  plain[20] = arm;
  randomBytes(8).copy(plain, 21);
  const iv = createHmac('sha256', secret).update(plain).digest().subarray(0, 16);
  const sealed = createCipheriv('aes-256-ctr', sealing, iv).update(plain);
  return Buffer.concat([Buffer.of(1), iv, sealed]).toString('base64url');
}

const met = new Map();
let waiting = [];
const write = db.transaction((rows) => rows.forEach((row) => exposure.run(...row)));
setInterval(() => { const rows = waiting; waiting = []; if (rows.length) write(rows); }, 1000);

function arm(merchant, viewer, now) {
  const found = experiment.get(merchant);
  if (!found) return 0;
  const { salt, hold_out: share } = JSON.parse(found.body);
  const bucket = createHash('md5').update(`${salt}/${viewer}`).digest().readUInt32BE(0) % 1000;
  const side = bucket < share ? 2 : 1;
  const key = `${found.no}/${viewer}/${side}`;
  if (!met.has(key)) {
    met.set(key, true);
    waiting.push([found.no, viewer, side, now * 1000]);
  }
  return side;
}

function preview(card, contacts, word) {
  const detail = contacts.map((contact) => contact.detail[word]).find(Boolean);
  return detail?.mask ?? card.display_name;
}

function items(merchant, viewer, now) {
  const allowed = admits(merchant);
  const shown = [];
  let side = 0;
  for (const row of menu.all(merchant)) {
    const open = row.state === 1 && !row.deleted && (row.start_time ?? 0) <= now * 1000
      && (row.end_time ?? Infinity) > now * 1000;
    if (!open) continue;
    const contacts = JSON.parse(row.contacts);
    for (const [kind, word, icon] of KINDS) {
      if (!(row.kinds === 0 || row.kinds & (1 << kind)) || !allowed(kind)) continue;
      if (shown.length === 0) side = arm(merchant, viewer, now);
      if (side === 2) return { absence: 'HELD_OUT' };
      const token = seal(row.no, kind, now, viewer, side);
      shown.push({
        placement: `merchants/${merchant}/placements/${row.id}`, kind: word, label: LABELS[word],
        preview: preview(row, contacts, word), icon, tap_token: token,
        open_uri: `http://127.0.0.1:8080/t/${token}`, display_name: row.display_name,
        headline: row.headline, avatar_uri: row.avatar_uri, version: `${row.version}/${row.card_version}`,
      });
    }
  }
  return shown.length ? { items: shown.slice(0, 3) } : { absence: 'PLACEMENT_NOT_FOUND' };
}

const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1];
const calls = { OK: BUCKETS.map(() => 0), UNAUTHENTICATED: BUCKETS.map(() => 0), INVALID_ARGUMENT: BUCKETS.map(() => 0) };
function count(code, started) {
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  const at = BUCKETS.findIndex((bucket) => seconds <= bucket);
  if (at >= 0) calls[code][at] += 1;
}

function getChatMenu(call, answer) {
  const started = process.hrtime.bigint();
  const refuse = (code, message) => { count(code, started); answer({ code: grpc.status[code], message }); };
  const claims = caller(call.metadata);
  if (!claims?.scope.split(' ').includes('serving.read')) return refuse('UNAUTHENTICATED', 'no such caller');
  const { merchant, viewer } = call.request;
  const name = /^merchants\/([a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)$/.exec(merchant);
  if (!name || !/^[0-9A-Za-z_.:-]{1,64}$/.test(viewer?.viewer_id ?? '')) return refuse('INVALID_ARGUMENT', 'malformed');
  const now = Date.now();
  const { items: shown = [], absence } = items(name[1], hash(viewer.viewer_id), now);
  const content = createHmac('sha256', secret).update(shown.map((item) => item.version + item.kind).join(' ')).digest();
  const version = Buffer.concat([content.subarray(0, 8), Buffer.alloc(4)]);
  version.writeUInt32BE(Math.floor(now / 1000), 8);
  answer(null, {
    items: shown, absence: absence && { reason: absence },
    valid_until: { seconds: Math.floor(now / 1000) + 60, nanos: (now % 1000) * 1e6 },
    version: version.toString('base64url'),
  });
  count('OK', started);
}

const definition = loader.loadSync('mingpian/v1/serving.proto', {
  keepCase: true, enums: String, longs: Number, includeDirs: [protos],
});
const { ServingService } = grpc.loadPackageDefinition(definition).mingpian.v1;
const server = new grpc.Server();
server.addService(ServingService.service, { GetChatMenu: getChatMenu });
server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  console.log(`serving grpc=127.0.0.1:${port} http=127.0.0.1:0`);
});
