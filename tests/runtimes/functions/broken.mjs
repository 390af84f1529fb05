export function handler( {
