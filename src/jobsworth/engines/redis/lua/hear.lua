-- The ear alone. ARGV[2]: { id, fence } each. Writes nothing.
return hear(cmsgpack.unpack(ARGV[2]))
