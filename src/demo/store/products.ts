import { type Html, html } from '../html.ts'
import type { Language } from './language.ts'

export interface Product {
  id: string
  yen: number
  name: Record<Language, string>
  text: Record<Language, string>
  material: Record<Language, string>
  size: string
  picture: Html
}

const mug = html`<ellipse cx="116" cy="166" rx="62" ry="9" fill="#000" opacity=".12"/>
  <path d="M160 78h10a25 25 0 0 1 0 54h-14" fill="none" stroke="#3f5d73" stroke-width="12" stroke-linecap="round"/>
  <path d="M64 56h104l-8 88a20 20 0 0 1-20 18H92a20 20 0 0 1-20-18z" fill="#4f7490"/>
  <path d="M64 56h104l-3 34c-30 14-70 14-98 0z" fill="#e9dfcc"/>
  <ellipse cx="116" cy="56" rx="52" ry="11" fill="#f6efe1"/>
  <ellipse cx="116" cy="57" rx="43" ry="8" fill="#5b3a26"/>
  <path d="M98 34c-7-8 7-12 0-20m36 20c-7-8 7-12 0-20m-18 18c-7-8 7-12 0-20" fill="none" stroke="#fff" stroke-width="4" stroke-linecap="round" opacity=".75"/>`

const tote = html`<ellipse cx="120" cy="168" rx="64" ry="8" fill="#000" opacity=".12"/>
  <path d="M88 70c0-62 64-62 64 0" fill="none" stroke="#a5573a" stroke-width="9"/>
  <path d="M60 64h120l-8 92a10 10 0 0 1-10 9H78a10 10 0 0 1-10-9z" fill="#ece1c8"/>
  <path d="M64.500 120h111l-3.500 36a10 10 0 0 1-10 9H78a10 10 0 0 1-10-9z" fill="#b9623f"/>
  <path d="M88 64v30m64-30v30" stroke="#a5573a" stroke-width="9" stroke-linecap="round"/>
  <path d="M96 84h48v24H96z" fill="none" stroke="#c9b78e" stroke-width="3"/>`

const lamp = html`<ellipse cx="116" cy="166" rx="52" ry="9" fill="#000" opacity=".14"/>
  <path d="M158 76l34 60H96z" fill="#fff2bf" opacity=".75"/>
  <rect x="78" y="152" width="68" height="12" rx="6" fill="#4d8872"/>
  <path d="M112 154 92 92l48-46" fill="none" stroke="#4d8872" stroke-width="7" stroke-linecap="round" stroke-linejoin="round"/>
  <circle cx="92" cy="92" r="7" fill="#c99a3d"/>
  <path d="M128 30l48 40-42 16c-18-10-22-38-6-56z" fill="#3f7a65"/>
  <path d="M176 70l-42 16c4 8 14 10 24 6s18-13 18-22z" fill="#ffe08a"/>`

const teapot = html`<ellipse cx="118" cy="164" rx="66" ry="9" fill="#000" opacity=".14"/>
  <path d="M68 112c-22-4-28-18-34-34l12-4c8 16 14 20 32 20z" fill="#6d3b2c"/>
  <path d="M164 96l44-22 7 12-46 28z" fill="#8a4d39"/>
  <path d="M62 116c0-32 26-48 56-48s56 16 56 48c0 28-22 46-56 46s-56-18-56-46z" fill="#8a4d39"/>
  <path d="M80 78c8-14 68-14 76 0-20 9-56 9-76 0z" fill="#6d3b2c"/>
  <circle cx="118" cy="58" r="9" fill="#8a4d39"/>
  <path d="M78 122c2 16 12 26 26 30" fill="none" stroke="#b97a63" stroke-width="5" stroke-linecap="round"/>`

const notebook = html`<ellipse cx="124" cy="168" rx="60" ry="7" fill="#000" opacity=".12"/>
  <path d="M80 40h88a6 6 0 0 1 6 6v112a6 6 0 0 1-6 6H80z" fill="#f7f1e3"/>
  <path d="M72 34h88a6 6 0 0 1 6 6v112a6 6 0 0 1-6 6H72z" fill="#31527a"/>
  <path d="M72 34h14v124H72z" fill="#223c5c"/>
  <path d="M79 46v10m0 10v10m0 10v10m0 10v10m0 10v10" stroke="#f1c65b" stroke-width="3" stroke-linecap="round"/>
  <rect x="102" y="58" width="46" height="30" rx="3" fill="#f7f1e3"/>
  <path d="M110 68h30m-30 9h20" stroke="#31527a" stroke-width="3" stroke-linecap="round"/>
  <path d="M140 158v18l5-5 5 5v-18z" fill="#c4533d"/>`

const throwBlanket = html`<ellipse cx="120" cy="164" rx="74" ry="9" fill="#000" opacity=".12"/>
  <rect x="50" y="122" width="140" height="38" rx="16" fill="#556b4e"/>
  <rect x="54" y="92" width="132" height="38" rx="16" fill="#7f9471"/>
  <rect x="58" y="62" width="124" height="38" rx="16" fill="#d9c9a3"/>
  <path d="M76 62v38m16-38v38m56-38v38m16-38v38" stroke="#b0683f" stroke-width="4"/>
  <path d="M58 80h124" stroke="#b0683f" stroke-width="4" opacity=".7"/>
  <path d="M72 160v10m16-10v10m16-10v10m16-10v10m16-10v10m16-10v10m16-10v10" stroke="#43553d" stroke-width="4" stroke-linecap="round"/>`

export const products: Product[] = [
  {
    id: 'mug',
    yen: 2800,
    name: { en: 'Stoneware mug', ja: '陶のマグカップ' },
    text: {
      en: 'Thick walls keep the coffee warm, and the handle takes three fingers.',
      ja: '厚みのある器がコーヒーの温かさを保ちます。持ち手は指三本がちょうど収まる大きさです。',
    },
    material: { en: 'Glazed stoneware', ja: '陶器（釉薬仕上げ）' },
    size: 'ø 90 × 95 mm',
    picture: mug,
  },
  {
    id: 'tote',
    yen: 4900,
    name: { en: 'Canvas tote', ja: '帆布のトートバッグ' },
    text: {
      en: 'Stands by itself, carries a week of groceries, and softens with every year.',
      ja: '自立するので荷物を入れやすく、一週間分の買い物も運べます。使うほど柔らかくなじみます。',
    },
    material: { en: 'Cotton canvas', ja: '綿帆布' },
    size: '380 × 330 × 150 mm',
    picture: tote,
  },
  {
    id: 'lamp',
    yen: 8600,
    name: { en: 'Desk lamp', ja: 'デスクランプ' },
    text: {
      en: 'Warm light exactly where you point it. The arm stays where you leave it.',
      ja: 'ほしいところだけを温かい光で照らします。アームは好きな角度でぴたりと止まります。',
    },
    material: { en: 'Steel, brass', ja: 'スチール、真鍮' },
    size: '180 × 420 mm',
    picture: lamp,
  },
  {
    id: 'teapot',
    yen: 5400,
    name: { en: 'Side-handle teapot', ja: '横手の急須' },
    text: {
      en: 'Pours to the last drop without dripping. For two cups.',
      ja: '最後の一滴まで、きれいに注げます。湯のみ二杯分です。',
    },
    material: { en: 'Unglazed red clay', ja: '朱泥（無釉）' },
    size: '300 ml',
    picture: teapot,
  },
  {
    id: 'notebook',
    yen: 1200,
    name: { en: 'Sewn notebook', ja: '糸綴じノート' },
    text: {
      en: 'Lies flat on every page. Takes ink and pencil alike.',
      ja: 'どのページも平らに開きます。万年筆でも鉛筆でも、気持ちよく書けます。',
    },
    material: { en: 'Wood-free paper, cloth', ja: '上質紙、布クロス' },
    size: 'A5, 128 p.',
    picture: notebook,
  },
  {
    id: 'throw',
    yen: 7200,
    name: { en: 'Wool throw', ja: 'ウールのひざ掛け' },
    text: {
      en: 'For the sofa in winter and the garden in summer. Does not scratch.',
      ja: '冬はソファで、夏の夜は庭で。ちくちくしない、柔らかな肌ざわりです。',
    },
    material: { en: 'Lambswool', ja: 'ラムウール' },
    size: '700 × 1000 mm',
    picture: throwBlanket,
  },
]

export function findProduct(id: string): Product | undefined {
  return products.find((product) => product.id === id)
}

/** A drawing says nothing its heading does not, so assistive technology skips it. */
export function pictureOf(product: Product): Html {
  return html`<svg class="picture tint-${product.id}" viewBox="0 0 240 190" aria-hidden="true" focusable="false">${product.picture}</svg>`
}
