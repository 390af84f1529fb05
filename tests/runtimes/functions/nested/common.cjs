const names = ['handler']
for (const name of names) exports[name] = () => ({ greeting: 'hello' })
