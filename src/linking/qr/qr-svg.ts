import bwip from 'bwip-js/node'

/** A QR code (ISO/IEC 18004) as an image a page may hold by itself. */
export function qrImage(text: string): string {
  const svg = bwip.toSVG({
    bcid: 'qrcode',
    text,
    scale: 4,
    padding: 4,
    backgroundcolor: 'FFFFFF',
  })
  return `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`
}
